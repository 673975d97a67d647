"""The two faces of the read model, which programs, the command line, the console and tests share.

Each read is described once, in `queue_reads`, `task_reads` and `server_reads`. `rota.inspect.face` says how to add one.
"""

from typing import TYPE_CHECKING

from rota.inspect.face import Awaited, Blocking
from rota.inspect.queue_reads import QueueReads
from rota.inspect.server_reads import ServerReads
from rota.inspect.task_reads import TaskReads

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.sync import SyncBroker


class Inspector(Awaited, QueueReads, TaskReads, ServerReads):
    """Reads queues, tasks and servers, and never writes: `app.inspector()`, or `Inspector(app.connect())`.

    A read-only user or replica is sufficient, and the user does not need permission for `MEMORY`. Long lists are read
    in pages, so a large queue does not block the server.
    """

    def __init__(self, broker: "Broker") -> None:
        super().__init__(broker.keys)
        self._send_with(broker)


class SyncInspector(Blocking, QueueReads, TaskReads, ServerReads):
    """Reads queues, tasks and servers, for blocking code (see `Inspector`)."""

    def __init__(self, broker: "SyncBroker") -> None:
        super().__init__(broker.keys)
        self._send_with(broker)
