"""The actions on tasks, which programs, the command line and the console share: `app.actions()`.

The actions on one task are the operations of a client (`rota.client.operations`), so there is one implementation of
each.
"""

from typing import TYPE_CHECKING

from rota.client.operations import TaskOperations
from rota.client.packing import PAYLOAD_LIMIT_BYTES, Packer
from rota.inspect.face import Awaited, Blocking

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.sync import SyncBroker


class Actions(Awaited, TaskOperations):
    """Changes tasks: `await app.actions().delete("mail", task_id)`, or `delete(*ref)` with a `TaskRef`.

    The user needs the rights of a producer.
    """

    def __init__(self, broker: "Broker", payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES) -> None:
        super().__init__(broker.keys, Packer(broker.keys, payload_limit_bytes))
        self._send_with(broker)


class SyncActions(Blocking, TaskOperations):
    """Changes tasks, for blocking code (see `Actions`)."""

    def __init__(self, broker: "SyncBroker", payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES) -> None:
        super().__init__(broker.keys, Packer(broker.keys, payload_limit_bytes))
        self._send_with(broker)
