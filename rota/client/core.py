"""The common base of both clients: everything except carrying out operations."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Self, Unpack, cast

from rota import events
from rota.client.batch import Batch, of_task
from rota.client.delivery import Delivery, DeliveryOptions, Unreplicated
from rota.client.packing import Packer, refusal, sendable
from rota.client.requests import Act, Burst, Command, Enqueue, Reach, asked_again
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable, NotReplicated, PayloadError, RotaError
from rota.tasks.job import Plan, Receipt
from rota.tasks.middleware import EnqueueMiddleware
from rota.wire.enqueue import Reply
from rota.wire.keys import Keys, QueueKeys
from rota.wire.script import MOST_ENQUEUED

RESULT_POLL = timedelta(seconds=1)
ENQUEUE_BATCH = 500
PUBLISH_SECONDS = 5.0
"""How long the name of a queue counts as published in the set of all queues, from which patterns and tools read it.

Asynq's clients publish a name only once. After a `FLUSHDB`, or after the queue was deleted, they keep filling a queue
that no tool shows. Publishing again after this time costs one small command for each busy queue.
"""


class Core(ABC):
    """Holds the keys, the packer, the published queue names and the settings. Enqueues by means of operations."""

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
        self._published_until: dict[str, float] = {}
        self._result_poll = result_poll
        self._poll_seconds = result_poll.total_seconds()
        self._enqueue_batch = enqueue_batch
        self._delivery = delivery
        self._retry_seconds = 0.0
        self._others: dict[Delivery, Self] = {delivery: cast(Any, self)}

    def sending(self, **words: Unpack[DeliveryOptions]) -> Self:
        """Return a client on the same connections with other delivery settings: `client.sending(wait_replicas=1)`.

        The keywords are the settings `when_away`, `wait_replicas`, `wait_replicas_timeout` and `replicas_missing`.
        """
        delivery = self._delivery.updated(**words)
        other = self._others.get(delivery)
        if other is None:
            made = self._copy(delivery)
            made._others = self._others
            other = self._others.setdefault(delivery, made)  # two threads may ask at once
        return other

    @abstractmethod
    def _copy(self, delivery: Delivery) -> Self:
        """Return a client on the same connections with these delivery settings."""

    def _checked_payload(self, task_id: str, payload: bytes) -> bytes:
        if not isinstance(payload, bytes | bytearray):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PayloadError(
                f"The payload for task {task_id} is a {type(payload).__name__}, but must be bytes: "
                "`task.plan(...).payload` makes them of arguments."
            )
        self._packer.check_size(f"The payload for task {task_id}", len(payload))
        return bytes(payload)

    @abstractmethod
    def _receipt(self, plan: Plan[Any], queue: str, reply: Reply) -> Any:
        """Return the handle to the task that an enqueue added or found."""

    def _place(self, queue: str, task_id: str) -> QueueKeys:
        sendable("queue name", queue)
        sendable("task ID", task_id)
        return self._keys.queue(queue)

    def _chunk(self, asked: int | None) -> int:
        # A call with more tasks than the script can unpack would fail in the middle.
        return min(asked or self._enqueue_batch, MOST_ENQUEUED)

    # Enqueueing, as operations

    def _enqueue_one(self, plan: Plan[Any]) -> Act[Any]:
        """Enqueue one plan. The answer is a receipt."""
        packed, call = self._packer.single(plan)
        queue, missing = packed.keys.queue, None
        yield from self._publish(queue)
        try:
            reply: Reply = yield Enqueue(call)
        except Unreplicated as error:
            reply, missing = cast(Reply, error.reply), error
        except BrokerError as error:
            if not error.maybe_applied:
                raise
            raise of_task(error, packed) from error
        if refused := refusal(plan, queue, reply):
            raise refused
        receipt = self._receipt(plan, queue, reply)
        if missing is not None:
            raise missing.of(receipt)
        return receipt

    def _prepare(self, batch: Batch) -> Act[None]:
        """Publish the queue names and connect before a chunk is sent, so that the next chunk cannot overtake it."""
        try:
            for queue in batch.names():
                yield from self._publish(queue)
        except BrokerError as error:
            batch.fail(error)
        batch.give_up((yield Reach([sending.call.keys[0] for sending in batch.sendings])))

    def _deliver(self, batch: Batch) -> Act[None]:
        """Send a chunk, and record its outcomes."""
        burst = Burst([sending.call for sending in batch.sendings], enqueues=True)
        outcomes: list[Any] = yield burst
        outcomes = yield from asked_again(burst, outcomes, self._retry_seconds)
        for sending, outcome in zip(batch.sendings, outcomes, strict=True):
            batch.settle(sending, outcome)

    def _publish(self, queue: str) -> Act[None]:
        """Add the name of a queue to the set of all queues, unless this was done within `PUBLISH_SECONDS`."""
        if self._published_until.get(queue, 0.0) >= monotonic():
            return
        try:
            yield Command(("SADD", self._keys.queues, queue), self._keys.queues)
        except BrokerError as error:
            if not error.maybe_applied:
                raise
            # Even if the name was published, no task has been enqueued yet. So the new error is not `maybe_applied`.
            kind = BrokerRefused if isinstance(error, BrokerRefused) else BrokerUnavailable
            raise kind(str(error)) from error
        self._published_until[queue] = monotonic() + PUBLISH_SECONDS

    def _outcomes(self, batch: Batch) -> list[Any]:
        """Return the outcome of each plan of a chunk: a receipt or an error."""
        rows = zip(batch.plans, batch.queues, batch.settled(), strict=True)
        results = [
            reply if isinstance(reply, RotaError) else self._receipt(cast("Plan[Any]", plan), queue, reply)
            for plan, queue, reply in rows
        ]
        return batch.judged(results) if batch.unreplicated else results


def log_failures(outcomes: Sequence[Receipt | RotaError]) -> None:
    """Log that the broker failed some of many enqueues, because a caller may ignore the outcomes."""
    failed = [each for each in outcomes if isinstance(each, BrokerError) and not isinstance(each, NotReplicated)]
    if failed:
        events.emit(events.EnqueuesFailed(failed=len(failed), tasks=len(outcomes), error=failed[0]))
