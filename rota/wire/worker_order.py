"""Orders to one worker: what the heartbeat brings besides the record of the server.

Each server has a hash of orders on the node of its record, so the script of the heartbeat reads it without a further
request. An order to a worker:

1. `give` stores the order under its ID, with a time at which it expires, and refuses it if the server is not listed.
2. The caller publishes `notice` on the cancel channel, to which each worker has subscribed. So the worker sends a
   heartbeat at once. If the message is lost, the next regular heartbeat finds the order.
3. The worker obeys the order once, and its next heartbeat replaces the order by the answer.
4. The caller reads the answer with `answer`. The record of the server shows the effect: `status` and `concurrency`.

The key has the ID of the server in its name, and a worker that starts again has another ID. So no order reaches a
worker that was started later. Go servers do not read orders. They ignore the message, because no task has such an ID.
"""

import json
import uuid
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias, cast, get_args

from rota.wire.keys import Keys
from rota.wire.names import text
from rota.wire.script import Call, load

Act: TypeAlias = Literal["quiet", "wake", "stop", "scale"]
ACTS: tuple[Act, ...] = get_args(Act)
GIVEN, NO_SERVER, TOO_MANY = 1, 0, -1
"""The results of `give`."""
DONE = "done"
"""The answer to an order that was obeyed. Any other answer says why it was not."""
_NOTICE = "rota-order "


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrder:
    """An order to one worker. `concurrency` is for `scale`.

    With `fleet` the order is for the supervisor of the worker, and so for all its processes.
    """

    act: Act
    concurrency: int = 0
    fleet: bool = False
    by: str = ""
    reason: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def to_json(self) -> bytes:
        """Return the order as JSON without its ID."""
        fields = asdict(self)
        del fields["id"]
        return json.dumps(fields).encode()

    @classmethod
    def from_json(cls, order_id: str, data: bytes) -> "WorkerOrder":
        """Read what `to_json` wrote. Raises ValueError if it is something else, or an order of a later version."""
        try:
            fields = cast("dict[str, Any]", json.loads(data))
            order = cls(id=order_id, **fields)
        except TypeError as error:
            raise ValueError(f"not an order that this version of Rota knows: {error}") from error
        if order.act not in ACTS:
            raise ValueError(f"this version of Rota does not know the order {order.act!r}")
        return order


def give(keys: Keys, host: str, pid: int, server_id: str, order: WorkerOrder, life: timedelta) -> Call[int]:
    """Give an order to a server. Returns `GIVEN`, `NO_SERVER` or `TOO_MANY`. Can be sent again."""
    script_keys = (keys.server(host, pid, server_id), keys.orders(host, pid, server_id))
    return Call(load("steer_order"), script_keys, (order.id, order.to_json(), int(life.total_seconds())), int)


def notice(server_id: str) -> str:
    """Return the message on the cancel channel that tells a worker to read its orders."""
    return _NOTICE + server_id


def answer_field(order_id: str) -> str:
    """Return the field of the hash of orders that holds the answer to an order."""
    return f"answer:{order_id}"


def read_orders(raw: Any) -> list[tuple[str, bytes]]:
    """Read the orders in the reply to a heartbeat: IDs, and orders as JSON."""
    return [(text(order_id), order) for order_id, order in zip(raw[::2], raw[1::2], strict=True)]
