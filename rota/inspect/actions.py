"""The actions on tasks, queues and workers, which programs, the command line and the console share: `app.actions()`.

The simple actions on one task are the operations of a client (`rota.client.operations`), and the others are described
in `rota.inspect.task_actions`, so there is one implementation of each. `queue_actions` and `worker_actions` describe
those on queues and workers.
"""

from typing import TYPE_CHECKING

from rota.client.packing import PAYLOAD_LIMIT_BYTES, Packer
from rota.inspect.face import Awaited, Blocking
from rota.inspect.queue_actions import QueueActions
from rota.inspect.task_actions import TaskActions
from rota.inspect.trash import OpenTrash
from rota.inspect.worker_actions import WorkerActions

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.sync import SyncBroker


class Actions(Awaited, TaskActions, QueueActions, WorkerActions):
    """Changes tasks, queues and workers: `await app.actions().delete("mail", id)`, or `delete(*ref)` with a `TaskRef`.

    The user needs the rights of a producer, and for queues and workers those of an operator. With a `trash`, deleted
    tasks are kept there for `undo`; `by` says who deletes them.
    """

    def __init__(
        self,
        broker: "Broker",
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
        trash: OpenTrash | None = None,
        by: str = "",
    ) -> None:
        super().__init__(broker.keys, Packer(broker.keys, payload_limit_bytes), trash, by, clustered=broker.clustered)
        self._send_with(broker)


class SyncActions(Blocking, TaskActions, QueueActions, WorkerActions):
    """Changes tasks, queues and workers, for blocking code (see `Actions`)."""

    def __init__(
        self,
        broker: "SyncBroker",
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
        trash: OpenTrash | None = None,
        by: str = "",
    ) -> None:
        super().__init__(broker.keys, Packer(broker.keys, payload_limit_bytes), trash, by, clustered=broker.clustered)
        self._send_with(broker)
