"""The two faces of the read model, which programs, the command line, the console and tests share.

Each read is described once, in `all_queues`, `queue_reads`, `task_reads`, `server_reads`, `broker_reads`,
`search_reads` and `metric_reads`. `rota.inspect.face` says how to add one.
"""

from typing import TYPE_CHECKING

from rota.inspect.all_queues import OverviewReads
from rota.inspect.aside_reads import AsideReads
from rota.inspect.broker_reads import BrokerReads
from rota.inspect.face import Awaited, Blocking
from rota.inspect.metric_reads import MetricReads
from rota.inspect.queue_reads import QueueReads
from rota.inspect.search_reads import SearchReads
from rota.inspect.server_reads import ServerReads
from rota.inspect.task_reads import TaskReads

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.sync import SyncBroker


class AllReads(OverviewReads, QueueReads, TaskReads, ServerReads, BrokerReads, SearchReads, AsideReads, MetricReads):
    """All reads. A further class of reads is added here, for both faces."""


class Inspector(Awaited, AllReads):
    """Reads queues, tasks and servers, and never writes: `app.inspector()`, or `Inspector(app.connect())`.

    A read-only user or replica is sufficient, and the user does not need permission for `MEMORY`. Long lists are read
    in pages, so a large queue does not block the server.
    """

    def __init__(self, broker: "Broker") -> None:
        super().__init__(broker.keys, broker.address.mode)
        self._send_with(broker)


class SyncInspector(Blocking, AllReads):
    """Reads queues, tasks and servers, for blocking code (see `Inspector`)."""

    def __init__(self, broker: "SyncBroker") -> None:
        super().__init__(broker.keys, broker.address.mode)
        self._send_with(broker)
