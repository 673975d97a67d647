"""The catalogue of events. `events.emit(events.LeaseLost(...))` emits one; users subscribe with `@on(LeaseLost)`.

Each module has the events of one subject. `event` has the base class, and `dispatch` their way to the log, the counts
and the callbacks.
"""

from rota.events.dispatch import *  # noqa: F403
from rota.events.event import *  # noqa: F403
from rota.events.fleet_events import *  # noqa: F403
from rota.events.queue_events import *  # noqa: F403
from rota.events.schedule_events import *  # noqa: F403
from rota.events.task_events import *  # noqa: F403
from rota.events.worker_events import *  # noqa: F403
