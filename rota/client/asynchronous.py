"""The client for asyncio code."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rota.broker.broker import Broker
from rota.client import operations as acts
from rota.client.batch import Batch, Planned, in_chunks, of_task
from rota.client.batching import Batcher
from rota.client.core import ENQUEUE_BATCH, RESULT_POLL, Core, log_failures
from rota.client.delivery import Delivery, Unreplicated
from rota.client.hooks import enter, enter_each, swallowed
from rota.client.packing import PAYLOAD_LIMIT_BYTES, STATES, textual
from rota.client.plans import check_plan, check_plans
from rota.client.requests import Requests
from rota.core.duration import DurationLike, parse
from rota.errors import BrokerRefused, BrokerUnavailable, ResultTimeout, RotaError
from rota.tasks.info import TaskInfo, TaskState
from rota.tasks.job import Job, Plan
from rota.tasks.middleware import EnqueueMiddleware
from rota.wire.enqueue import Reply

if TYPE_CHECKING:
    from rota.client.replicas import Replicas

R = TypeVar("R")
Plans = Iterable[Plan[Any]] | AsyncIterable[Plan[Any]]

# The number of chunks in flight at once: the server handles one chunk while the client packs the next.
_IN_FLIGHT = 3


class Client(Core):
    """Enqueues tasks, changes them, and waits for their end.

    The client sends a request again if its answer was lost, for `retry_for`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        middlewares: Sequence[EnqueueMiddleware] = (),
        result_poll: timedelta = RESULT_POLL,
        enqueue_batch: int = ENQUEUE_BATCH,
        delivery: Delivery = Delivery(),  # noqa: B008  # frozen
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
    ) -> None:
        super().__init__(broker.keys, middlewares, result_poll, enqueue_batch, delivery, payload_limit_bytes)
        self._origin = broker
        self.broker = broker.within(timedelta(0)) if delivery.when_away == "fail" else broker
        self._replicas = _replicas(self.broker, delivery) if delivery.wait_replicas else None
        self._requests = Requests(self.broker, self._replicas)
        self._retry_seconds = self._requests.seconds
        self._batcher = Batcher(self._requests.enqueue, self._requests.enqueue_again)

    def _copy(self, delivery: Delivery) -> "Client":
        return Client(
            self._origin,
            middlewares=self._middlewares,
            result_poll=self._result_poll,
            enqueue_batch=self._enqueue_batch,
            delivery=delivery,
            payload_limit_bytes=self._payload_limit_bytes,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        for each in self._others.values():
            if each._replicas is not None:
                await each._replicas.aclose()
        await self._origin.aclose()

    def enqueue(self, plan: Plan[R]) -> Coroutine[Any, Any, Job[R]]:
        """Enqueue one task. Raises DuplicateTask, TaskIdConflict, or a BrokerError."""
        return self._enqueue_within(plan) if self._middlewares else self._enqueue(plan)

    async def enqueue_many(self, plans: Plans) -> list[Job[Any] | RotaError]:
        """Enqueue any number of tasks. The list has one outcome for each plan, in their order.

        An outcome is a receipt or an error. An error of a single plan is not raised, even if the connection breaks in
        the middle. If the iterable `plans` raises an error, that error is the last outcome.
        """
        async with aclosing(self.enqueue_stream(plans)) as stream:
            outcomes = [outcome async for outcome in stream]
        log_failures(outcomes)
        return outcomes

    async def enqueue_stream(self, plans: Plans, *, chunk: int | None = None) -> AsyncGenerator[Job[Any] | RotaError]:
        """Enqueue plans while an iterable yields them, and yield an outcome for each plan, as `enqueue_many` does.

        At most a few chunks are in memory. Close the iterator if you leave it early (`contextlib.aclosing`).
        """
        check_plans(plans, blocking=False)
        on_the_way: deque[tuple[Batch, asyncio.Task[None]]] = deque()
        try:
            async for some in in_chunks(plans, self._chunk(chunk)):
                on_the_way.append(await self._start(some))
                if len(on_the_way) >= _IN_FLIGHT:
                    for outcome in await self._arrival(*on_the_way.popleft()):
                        yield outcome
            while on_the_way:
                for outcome in await self._arrival(*on_the_way.popleft()):
                    yield outcome
        finally:
            for _, task in on_the_way:
                task.cancel()

    async def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:  # noqa: ASYNC109
        """Wait for the end of a task and return its stored result.

        Rota workers announce the end of a task. Go servers do not, so the client also polls, first often and later
        every `result_poll`.
        """
        keys = self._place(queue, task_id)
        seconds = None if timeout is None else parse(timeout, "timeout").total_seconds()
        act = acts.result(keys, task_id, seconds, self._poll_seconds)
        try:
            # The act keeps its own time limit. This timeout is for a broker that does not answer.
            async with asyncio.timeout(None if seconds is None else seconds + 0.1):
                try:
                    async with self.broker.subscribe(keys.ended(task_id)) as messages:
                        return await self._requests.carry_out(act, messages)
                except BrokerRefused:  # no permission to subscribe, so only poll
                    return await self._requests.carry_out(acts.result(keys, task_id, seconds, self._poll_seconds), None)
        except ResultTimeout:
            raise
        except TimeoutError:
            raise acts.out_of_time(queue, task_id, seconds) from None

    async def info(self, queue: str, task_id: str) -> TaskInfo:
        """Return a snapshot of a task. Raises TaskNotFound if it does not exist any more."""
        return await self._requests.carry_out(acts.info(self._place(queue, task_id), task_id))

    async def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End a task without a retry: a waiting task at once, a running task by its worker.

        A task that has ended stays as it is.
        """
        await self._requests.carry_out(
            acts.cancel(self._place(queue, task_id), task_id, textual("reason", reason), self._keys.cancel)
        )

    async def delete(self, queue: str, task_id: str) -> None:
        """Delete a task that does not run, and release its unique lock."""
        await self._requests.carry_out(acts.delete(self._place(queue, task_id), task_id))

    async def run_now(self, queue: str, task_id: str) -> None:
        """Make a scheduled, retried, grouped, archived or completed task pending, so that it runs next."""
        await self._requests.carry_out(acts.run_now(self._place(queue, task_id), task_id))

    async def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a scheduled, retried or pending task to an instant, or to a duration from now by the server's clock."""
        await self._requests.carry_out(acts.reschedule(self._place(queue, task_id), task_id, when))

    async def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that does not run. Its unique lock moves to the key of the new payload."""
        payload = self._checked_payload(task_id, payload)
        await self._requests.carry_out(acts.update_payload(self._place(queue, task_id), task_id, payload))

    async def _enqueue_within(self, plan: Plan[R]) -> Job[R]:
        check_plan(plan)
        async with AsyncExitStack() as stack:
            return await self._enqueue(await enter(stack, self._middlewares, plan))
        raise swallowed()

    async def _enqueue(self, plan: Plan[R]) -> Job[R]:
        # The hot path of every program that enqueues, so short steps are inlined to save function calls.
        if plan.__class__ is not Plan:
            check_plan(plan)
        packed = None if plan.options.debounce is not None else self._packer.pack(plan)
        if packed is None or packed.item is not None:
            return cast("Job[R]", await self._requests.carry_out(self._enqueue_one(plan)))
        # Most tasks have no options besides their queue, and take this short path.
        keys, task_id, message, _ = packed
        if self._published_until.get(keys.queue, 0.0) < monotonic():
            await self._requests.carry_out(self._publish(keys.queue))
        receipt: Job[R] = Job(
            task_id,
            keys.queue,
            plan.type,
            TaskState.PENDING,
            actions=self,
            decode=plan.decode,
            kept=bool(plan.options.retention),
        )
        try:
            await self._batcher.add(keys, task_id, message)
        except Unreplicated as missing:
            raise missing.of(receipt) from None
        except (BrokerUnavailable, BrokerRefused) as error:
            if not error.maybe_applied:
                raise
            raise of_task(error, packed) from error
        return receipt

    def _receipt(self, plan: Plan[R], queue: str, reply: Reply) -> Job[R]:
        reason, task_id, state = reply
        created = reason == "created"
        # A task that existed already was enqueued with its own retention, which is not known here.
        kept = not created or bool(plan.options.retention)
        return Job(
            task_id, queue, plan.type, STATES[state], created=created, actions=self, decode=plan.decode, kept=kept
        )

    async def _start(self, plans: Sequence[Planned]) -> tuple[Batch, asyncio.Task[None]]:
        async with AsyncExitStack() as stack:
            if self._middlewares:
                plans = await enter_each(stack, self._middlewares, plans)
            batch = Batch(self._packer, plans)
            # Awaited here and not in the asyncio task: the next chunk must not overtake a chunk that has to publish a
            # queue name or to connect first.
            await self._requests.carry_out(self._prepare(batch))
            around = stack.pop_all()
        return batch, asyncio.create_task(self._carry(batch, around))

    async def _carry(self, batch: Batch, around: AsyncExitStack) -> None:
        async with around:
            await self._requests.carry_out(self._deliver(batch))

    async def _arrival(self, batch: Batch, task: asyncio.Task[None]) -> list[Job[Any] | RotaError]:
        await task
        return self._outcomes(batch)


def _replicas(broker: Broker, delivery: Delivery) -> "Replicas":
    from rota.client.replicas import Replicas  # imported late, because few programs wait for replicas

    return Replicas(broker, delivery)
