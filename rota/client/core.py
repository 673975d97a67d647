"""What both faces of the client share: everything but asking the server."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar, Unpack, cast

from rota.client.delivery import Delivery, DeliveryWords
from rota.client.packing import Packer
from rota.client.published import Published
from rota.enqueued import Receipt
from rota.errors import BrokerError, NotReplicated, PayloadError, RotaError
from rota.middleware import EnqueueMiddleware
from rota.wire.enqueue import MAX_TASKS
from rota.wire.keys import Keys

ResultT = TypeVar("ResultT")

RESULT_POLL = timedelta(seconds=1)
ENQUEUE_BATCH = 500


class Core:
    """The keys, the packer, what was published, and the settings of a client."""

    def __init__(
        self,
        keys: Keys,
        middlewares: Sequence[EnqueueMiddleware],
        result_poll: timedelta,
        enqueue_batch: int,
        delivery: Delivery,
        payload_limit_bytes: int,
    ) -> None:
        self._keys = keys
        self._middlewares = middlewares
        self._packer = Packer(keys, payload_limit_bytes)
        self._payload_limit_bytes = payload_limit_bytes
        self._published = Published()
        self._result_poll = result_poll
        self._poll_seconds = result_poll.total_seconds()
        self._enqueue_batch = enqueue_batch
        self._delivery = delivery
        self._others: dict[Delivery, Self] = {delivery: cast(Any, self)}

    def sending(self, **words: Unpack[DeliveryWords]) -> Self:
        """Return a client over the same connections that delivers differently: `client.sending(wait_replicas=1)`."""
        delivery = self._delivery.updated(**words)
        other = self._others.get(delivery)
        if other is None:
            made = self._copy(delivery)
            made._others = self._others
            other = self._others.setdefault(delivery, made)  # two threads may ask at once
        return other

    @property
    def buffered(self) -> int:
        """How many tasks wait in this program's memory (`when_away="buffer"`)."""
        return sum(each._held() for each in self._others.values())

    def _copy(self, delivery: Delivery) -> Self:
        raise TypeError(f"{type(self).__name__} cannot be copied.")

    def _check_payload(self, task_id: str, payload: bytes) -> None:
        if not isinstance(payload, bytes | bytearray):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PayloadError(
                f"The payload for task {task_id} is a {type(payload).__name__}, but must be bytes: "
                "`task.plan(...).payload` makes them of arguments."
            )
        self._packer.check_size(f"The payload for task {task_id}", len(payload))

    def _held(self) -> int:
        return 0

    def _chunk(self, asked: int | None) -> int:
        # More in one call than the script can hold would break it half way.
        return min(asked or self._enqueue_batch, MAX_TASKS)


def raise_failure(results: Sequence[Receipt | RotaError]) -> None:
    """Raise the first fault of the broker among the results of many enqueues, if there is one."""
    for result in results:
        if isinstance(result, BrokerError):
            done = sum(isinstance(each, Receipt | NotReplicated) for each in results)
            result.add_note(f"{done} of {len(results)} tasks were enqueued.")
            raise result


def unless_fault(answer: ResultT | BaseException) -> ResultT | RotaError:
    """Return what an enqueue came to; an error that is not about its task is raised."""
    if isinstance(answer, BaseException) and not isinstance(answer, RotaError):
        raise answer
    return answer
