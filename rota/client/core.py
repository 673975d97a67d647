"""The common base of both clients: everything except the signatures of their methods and what waits in its own way.

Two kinds of code are written once here. Operations are generators that yield requests (`rota.client.steps`), which the
driver of the client carries out. The code around them, such as middleware and chunks, is coroutines. `Client` awaits
these, and `SyncClient` runs them with `finish`, because its requests block and never wait.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, Unpack, cast

from rota import events
from rota.client.batch import Batch, Planned, of_task
from rota.client.delivery import Delivery, DeliveryOptions, Unreplicated
from rota.client.hooks import enter, enter_each, swallowed
from rota.client.operations import OUT_OF_SIGHT, TaskOperations, Wait, out_of_time, result
from rota.client.packing import PAYLOAD_LIMIT_BYTES, STATES, Packer, refusal
from rota.client.plans import check_plan, other_keeps_nothing, plan_of_call, wait_broken_off
from rota.client.requests import Driver
from rota.client.steps import Act, Burst, Command, Enqueue, Reach
from rota.core.duration import DurationLike, parse
from rota.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    NotReplicated,
    QueuePaused,
    ResultNotKept,
    ResultTimeout,
    RotaError,
)
from rota.tasks.job import Decode, Plan, Receipt, read_result
from rota.tasks.middleware import EnqueueMiddleware
from rota.wire.enqueue import Reply
from rota.wire.script import MOST_ENQUEUED

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.sync import SyncBroker

BrokerT = TypeVar("BrokerT", bound="Broker | SyncBroker")

RESULT_POLL = timedelta(seconds=1)
ENQUEUE_BATCH = 500
PUBLISH_SECONDS = 5.0
"""How long the name of a queue counts as published in the set of all queues, from which patterns and tools read it.

Asynq's clients publish a name only once. After a `FLUSHDB`, or after the queue was deleted, they keep filling a queue
that no tool shows. Publishing again after this time costs one small command for each busy queue.
"""


class Core(TaskOperations, ABC, Generic[BrokerT]):
    """Holds the keys, the packer, the published queue names and the settings. Enqueues, and waits for results.

    What both clients do is written once, as coroutines. The blocking client runs them with `finish`.
    """

    _job: ClassVar[type[Receipt]]
    _blocking: ClassVar[bool] = False

    def __init__(
        self,
        broker: BrokerT,
        *,
        middlewares: Sequence[EnqueueMiddleware] = (),
        result_poll: timedelta = RESULT_POLL,
        enqueue_batch: int = ENQUEUE_BATCH,
        delivery: Delivery = Delivery(),  # noqa: B008  # frozen
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
    ) -> None:
        super().__init__(broker.keys, Packer(broker.keys, payload_limit_bytes))
        self.origin = broker
        """The broker as it was given, which waits for a server that is away also if `when_away` is `fail`."""
        self.broker = cast(BrokerT, broker.within(timedelta(0))) if delivery.when_away == "fail" else broker
        self._requests = self._driver(delivery)
        self._middlewares = middlewares
        self._published_until: dict[str, float] = {}
        self._poll_seconds = result_poll.total_seconds()
        self._enqueue_batch = enqueue_batch
        self._delivery = delivery
        self._others: dict[Delivery, Self] = {delivery: cast(Any, self)}
        self._words: dict[str, Any] = {
            "middlewares": middlewares,
            "result_poll": result_poll,
            "enqueue_batch": enqueue_batch,
            "payload_limit_bytes": payload_limit_bytes,
        }

    @abstractmethod
    def _driver(self, delivery: Delivery) -> Driver:
        """Make what carries out the operations of this client."""

    def sending(self, **words: Unpack[DeliveryOptions]) -> Self:
        """Return a client on the same connections with other delivery settings: `client.sending(wait_replicas=1)`.

        The keywords are the settings `when_away`, `wait_replicas`, `wait_replicas_timeout` and `replicas_missing`.
        """
        delivery = self._delivery.updated(**words)
        other = self._others.get(delivery)
        if other is None:
            made = type(self)(self.origin, delivery=delivery, **self._words)
            made._others = self._others
            other = self._others.setdefault(delivery, made)  # two threads may ask at once
        return other

    # Waiting

    async def _result(self, queue: str, task_id: str, wait: Wait) -> bytes:
        keys = self._queue_keys(queue, task_id)
        try:
            return await self._requests.listen(
                keys.ended(task_id), lambda: result(keys, task_id, wait, self._poll_seconds), wait.left_seconds
            )
        except ResultTimeout:
            raise
        except TimeoutError:
            raise out_of_time(queue, task_id, wait.seconds, OUT_OF_SIGHT) from None

    async def _call(self, plan: Plan[Any], timeout: DurationLike | None) -> Any:  # noqa: ASYNC109
        limit = None if timeout is None else parse(timeout, "timeout")
        wait = Wait.of(limit)
        # A middleware may change the plan, so the plan that is sent is the one that is made ready for the call.
        job = await self._enqueue_within(plan, lambda sent: plan_of_call(sent, limit))
        try:
            stored = await self._result(job.queue, job.id, wait)
        except ResultNotKept:
            if job.created:
                raise
            raise other_keeps_nothing(job) from None
        except BrokerError as error:
            raise wait_broken_off(error, job) from error
        return read_result(job, stored, job._decode)

    def _handle(self, queue: str, task_id: str, type: str, decode: Decode | None) -> Any:
        self._queue_keys(queue, task_id)
        return self._job(task_id, queue, type, None, created=False, client=self, decode=decode)

    # Enqueueing

    async def _enqueue_within(self, plan: Plan[Any], ready: Callable[[Plan[Any]], Plan[Any]] | None = None) -> Any:
        """Enqueue one plan within the middlewares. `ready` returns what to send of the plan that they leave."""
        check_plan(plan)
        if not self._middlewares:
            return await self._enqueue(plan if ready is None else ready(plan))
        async with AsyncExitStack() as stack:
            sent = await enter(stack, self._middlewares, plan, blocking=self._blocking)
            return await self._enqueue(sent if ready is None else ready(sent))
        raise swallowed()

    async def _enqueue(self, plan: Plan[Any]) -> Any:
        check_plan(plan)
        return await self._requests.carry_out(self._enqueue_one(plan))

    async def _start(self, plans: Sequence[Planned]) -> tuple[Batch, AsyncExitStack]:
        """Pack a chunk and connect. Send it with `_deliver_within`."""
        async with AsyncExitStack() as stack:
            if self._middlewares:
                plans = await enter_each(stack, self._middlewares, plans, blocking=self._blocking)
            batch = Batch(self._packer, plans)
            await self._requests.carry_out(self._prepare(batch))
            around = stack.pop_all()
        return batch, around

    async def _deliver_within(self, batch: Batch, around: AsyncExitStack) -> None:
        async with around:
            await self._requests.carry_out(self._deliver(batch))

    def _receipt(self, plan: Plan[Any], queue: str, reply: Reply) -> Any:
        """Return the handle to the task that an enqueue added or found."""
        reason, task_id, state = reply
        created = reason == "created"
        # A task that existed already was enqueued with its own retention, which is not known here.
        kept = not created or bool(plan.options.retention)
        return self._job(
            task_id, queue, plan.type, STATES[state], created=created, client=self, decode=plan.decode, kept=kept
        )

    def _chunk(self, asked: int | None) -> int:
        # A call with more tasks than the script can unpack would fail in the middle.
        return min(asked or self._enqueue_batch, MOST_ENQUEUED)

    # Enqueueing, as operations that the driver carries out

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
            self._forget_if_refused(queue, error)
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
        calls = [sending.call for sending in batch.sendings]
        outcomes: list[Any] = yield Burst(calls, enqueues=True, again=True)
        for sending, outcome in zip(batch.sendings, outcomes, strict=True):
            self._forget_if_refused(sending.keys.queue, outcome)
            batch.settle(sending, outcome)

    def _publish(self, queue: str) -> Act[None]:
        """Add the name of a queue to the set of all queues, unless this was done within `PUBLISH_SECONDS`."""
        if self._published_until.get(queue, 0.0) >= monotonic():
            return
        try:
            yield Command(("SADD", self._keys.queues, queue), self._keys.queues)
        except BrokerError as error:
            if self.broker.clustered and isinstance(error, BrokerUnavailable) and queue in self._published_until:
                # The set is on a node of its own, whose loss does not affect the other queues. The name is in it.
                self._published_until[queue] = monotonic() + PUBLISH_SECONDS
                return
            if not error.maybe_applied:
                raise
            # Even if the name was published, no task has been enqueued yet. So the new error is not `maybe_applied`.
            kind = BrokerRefused if isinstance(error, BrokerRefused) else BrokerUnavailable
            raise kind(str(error)) from error
        self._published_until[queue] = monotonic() + PUBLISH_SECONDS

    def _forget_if_refused(self, queue: str, outcome: object) -> None:
        """Publish the name of a queue again before the next enqueue, because a queue that refuses may be deleted."""
        if isinstance(outcome, QueuePaused):
            self._published_until.pop(queue, None)

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
