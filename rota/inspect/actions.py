"""The actions on tasks, which programs, the command line and the console share: `app.actions()`.

The simple actions on one task are the operations of a client (`rota.client.operations`), and the others are described
in `rota.inspect.task_actions`, so there is one implementation of each.
"""

from typing import TYPE_CHECKING

from rota.client.packing import PAYLOAD_LIMIT_BYTES, Packer
from rota.inspect.face import Awaited, Blocking
from rota.inspect.task_actions import TaskActions
from rota.inspect.trash import OpenTrash

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.sync import SyncBroker


class Actions(Awaited, TaskActions):
    """Changes tasks: `await app.actions().delete("mail", task_id)`, or `delete(*ref)` with a `TaskRef`.

    The user needs the rights of a producer. With a `trash`, deleted tasks are kept there for `undo`; `by` says who
    deletes them.
    """

    def __init__(
        self,
        broker: "Broker",
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
        trash: OpenTrash | None = None,
        by: str = "",
    ) -> None:
        super().__init__(broker.keys, Packer(broker.keys, payload_limit_bytes), trash, by)
        self._send_with(broker)


class SyncActions(Blocking, TaskActions):
    """Changes tasks, for blocking code (see `Actions`)."""

    def __init__(
        self,
        broker: "SyncBroker",
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
        trash: OpenTrash | None = None,
        by: str = "",
    ) -> None:
        super().__init__(broker.keys, Packer(broker.keys, payload_limit_bytes), trash, by)
        self._send_with(broker)
