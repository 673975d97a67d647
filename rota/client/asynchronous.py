"""The asyncio face of the client."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from rota.broker.broker import Broker
from rota.client import acts
from rota.client.batch import Batch, in_chunks
from rota.client.buffered import Buffered
from rota.client.core import ENQUEUE_BATCH, RESULT_POLL, Core, raise_failure, unless_fault
from rota.client.courier import Courier
from rota.client.delivery import Delivery
from rota.client.hooks import enter, swallowed
from rota.client.joiner import Joiner
from rota.client.outbox import Outbox
from rota.client.packing import PAYLOAD_LIMIT_BYTES, STATES, alone, refusal
from rota.client.parcel import Parcel
from rota.client.replicas import Replicas, Unreplicated
from rota.client.sender import Senders
from rota.duration import DurationLike, parse
from rota.enqueued import Enqueued, Plan
from rota.errors import BrokerError, BrokerRefused, ResultTimeout, RotaError
from rota.info import TaskInfo, TaskState
from rota.middleware import EnqueueMiddleware
from rota.wire.enqueue import Reply
from rota.wire.keys import QueueKeys
from rota.wire.script import Call

R = TypeVar("R")
Plans = Iterable[Plan[Any]] | AsyncIterable[Plan[Any]]

# Chunks on their way at once: the server works on one while the next is packed.
_IN_FLIGHT = 3


class Client(Core):
    """Enqueues tasks, changes them, and waits for their end.

    Every request is safe to repeat, and is repeated where its reply was lost.
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
        self._replicas = Replicas(self.broker, delivery) if delivery.wait_replicas else None
        self._courier = Courier(self.broker, Senders(), self._replicas)
        self._outbox = Outbox(broker, self._packer, self._published, delivery) if delivery.buffers else None
        self._joiner = Joiner(self._courier.deliver)

    def _copy(self, delivery: Delivery) -> "Client":
        return Client(
            self._origin,
            middlewares=self._middlewares,
            result_poll=self._result_poll,
            enqueue_batch=self._enqueue_batch,
            delivery=delivery,
            payload_limit_bytes=self._payload_limit_bytes,
        )

    def _held(self) -> int:
        return 0 if self._outbox is None else len(self._outbox)

    async def flush(self, timeout: DurationLike | None = None) -> bool:  # noqa: ASYNC109
        """Wait until nothing is buffered any more. Returns False when the time is over first."""
        longest = self._delivery.flush_timeout if timeout is None else parse(timeout, "timeout")
        boxes = [each._outbox for each in self._others.values() if each._outbox is not None]
        return all(await asyncio.gather(*(box.flush(longest) for box in boxes)))

    async def aclose(self) -> list[Plan[Any]]:
        """Send what is buffered, for at most `flush_timeout`, and close. Returns what could not be sent."""
        lost: list[Plan[Any]] = []
        for each in self._others.values():
            if each._outbox is not None:
                lost += await each._outbox.aclose(each._delivery.flush_timeout)
            if each._replicas is not None:
                await each._replicas.aclose()
        await self._origin.aclose()
        return lost

    def enqueue(self, plan: Plan[R]) -> Coroutine[Any, Any, Enqueued[R]]:
        """Enqueue one task. Raises DuplicateTask, TaskIdConflict, or a BrokerError."""
        return self._enqueue_within(plan) if self._middlewares else self._enqueue(plan)

    async def enqueue_many(self, plans: Plans) -> list[Enqueued[Any] | RotaError]:
        """Enqueue any number of tasks; the results are in the order of the plans.

        What was refused for itself (a duplicate, a taken ID, options that do not fit) is an error in the list. If the
        broker failed, the first such error is raised after everything was tried; `enqueue_stream` tells of each task.
        """
        async with aclosing(self.enqueue_stream(plans)) as stream:
            results = [result async for result in stream]
        raise_failure(results)
        return results

    async def enqueue_stream(
        self, plans: Plans, *, chunk: int | None = None
    ) -> AsyncGenerator[Enqueued[Any] | RotaError]:
        """Enqueue plans as they come from an iterable, and yield a result for each, in order; all errors are values.

        At most a few chunks are in memory. Close the iterator if you leave it early (`contextlib.aclosing`).
        """
        on_the_way: deque[tuple[Batch, asyncio.Task[None]]] = deque()
        try:
            async for some in in_chunks(plans, self._chunk(chunk)):
                if self._outbox is not None:
                    for result in await self._post_many(some):
                        yield result
                    continue
                on_the_way.append(await self._start(some))
                if len(on_the_way) >= _IN_FLIGHT:
                    for result in await self._arrival(*on_the_way.popleft()):
                        yield result
            while on_the_way:
                for result in await self._arrival(*on_the_way.popleft()):
                    yield result
        finally:
            for _, task in on_the_way:
                task.cancel()

    async def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:  # noqa: ASYNC109
        """Wait for the end of a task and return its stored result.

        A Rota worker announces the end; where a Go server runs the task, it is looked for, at last every `result_poll`.
        """
        keys = self._keys.queue(queue)
        seconds = None if timeout is None else parse(timeout, "timeout").total_seconds()
        act = acts.result(keys, task_id, seconds, self._poll_seconds)
        try:
            # The act minds its time by itself. This is for a broker that does not answer.
            async with asyncio.timeout(None if seconds is None else seconds + 0.1):
                try:
                    async with self.broker.subscribe(keys.ended(task_id)) as messages:
                        return await self._courier.act(act, messages)
                except BrokerRefused:  # no right to subscribe: looking is enough
                    return await self._courier.act(acts.result(keys, task_id, seconds, self._poll_seconds), None)
        except ResultTimeout:
            raise
        except TimeoutError:
            raise acts.out_of_time(queue, task_id, seconds) from None

    async def info(self, queue: str, task_id: str) -> TaskInfo:
        """Look a task up. Raises TaskNotFound once it is gone."""
        return await self._courier.act(acts.info(self._keys.queue(queue), task_id))

    async def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End a task: at once if it waits, by its worker if it runs. Nothing happens to one that has ended."""
        await self._courier.act(acts.cancel(self._keys.queue(queue), task_id, reason, self._keys.cancel))

    async def delete(self, queue: str, task_id: str) -> None:
        """Delete a task that does not run, and give its unique lock back."""
        await self._courier.act(acts.delete(self._keys.queue(queue), task_id))

    async def run_now(self, queue: str, task_id: str) -> None:
        """Let a scheduled, retried, grouped, archived or completed task run now."""
        await self._courier.act(acts.run_now(self._keys.queue(queue), task_id))

    async def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a scheduled, retried or pending task to an instant, or to so long from now by the server's clock."""
        await self._courier.act(acts.reschedule(self._keys.queue(queue), task_id, when))

    async def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that does not run. Its unique lock moves with it."""
        self._check_payload(task_id, payload)
        await self._courier.act(acts.update_payload(self._keys.queue(queue), task_id, payload))

    async def _enqueue_within(self, plan: Plan[R]) -> Enqueued[R]:
        async with AsyncExitStack() as stack:
            return await self._enqueue(await enter(stack, self._middlewares, plan))
        raise swallowed()

    async def _enqueue(self, plan: Plan[R]) -> Enqueued[R]:
        if self._outbox is not None:
            return self._accepted(plan, await self._outbox.post(plan))
        if plan.options.debounce is not None:
            return await self._send(plan, *self._packer.debounced(plan, plan.options.debounce))
        packed = self._packer.pack(plan)
        keys = packed.keys
        if packed.item is not None:
            return await self._send(plan, keys, alone(packed))
        # Most tasks want nothing but to run, so this way is short.
        if self._published.is_due(keys.queue):
            await self._publish(keys.queue)
        pending = TaskState.PENDING
        receipt: Enqueued[R] = Enqueued(packed.id, keys.queue, plan.type, pending, actions=self, decode=plan.decode)
        try:
            await self._joiner.add(keys, packed.id, packed.message)
        except Unreplicated as missing:
            raise missing.of(receipt) from None
        return receipt

    async def _send(self, plan: Plan[R], keys: QueueKeys, call: Call[Reply]) -> Enqueued[R]:
        if self._published.is_due(keys.queue):
            await self._publish(keys.queue)
        try:
            reply, missing = await self._courier.deliver(keys, call), None
        except Unreplicated as error:
            reply, missing = cast(Reply, error.reply), error
        if refused := refusal(plan, keys.queue, reply):
            raise refused
        receipt = self._enqueued(plan, keys.queue, reply)
        if missing is not None:
            raise missing.of(receipt)
        return receipt

    def _accepted(self, plan: Plan[R], parcel: Parcel) -> Enqueued[R]:
        queue = parcel.keys.queue
        if isinstance(parcel.outcome, Reply):
            return self._enqueued(plan, queue, parcel.outcome)
        later = Buffered(self, parcel)
        receipt = Enqueued[R](parcel.id, queue, plan.type, "buffered", actions=later, decode=plan.decode)
        parcel.hand_out(receipt)
        return receipt

    def _enqueued(self, plan: Plan[R], queue: str, reply: Reply) -> Enqueued[R]:
        reason, task_id, state = reply
        return Enqueued(
            task_id, queue, plan.type, STATES[state], created=reason == "created", actions=self, decode=plan.decode
        )

    async def _publish(self, queue: str) -> None:
        await self._courier.command("SADD", self._keys.queues, queue, key=self._keys.queues)
        self._published.note(queue)

    async def _start(self, plans: Sequence[Plan[Any]]) -> tuple[Batch, asyncio.Task[None]]:
        async with AsyncExitStack() as stack:
            if self._middlewares:
                plans = [await enter(stack, self._middlewares, plan) for plan in plans]
            batch = Batch(self._packer, plans)
            # Not in the task: a chunk that has to publish a name, or to connect, must not be overtaken by the next one.
            await self._publish_all(batch)
            batch.give_up(await self.broker.reach(sending.call.keys[0] for sending in batch.sendings))
            around = stack.pop_all()
        return batch, asyncio.create_task(self._carry(batch, around))

    async def _post_many(self, plans: Sequence[Plan[Any]]) -> list[Enqueued[Any] | RotaError]:
        answers = await asyncio.gather(*map(self.enqueue, plans), return_exceptions=True)
        return [unless_fault(answer) for answer in answers]

    async def _publish_all(self, batch: Batch) -> None:
        try:
            for queue in batch.names():
                if self._published.is_due(queue):
                    await self._publish(queue)
        except BrokerError as error:
            batch.fail(error)

    async def _carry(self, batch: Batch, around: AsyncExitStack) -> None:
        async with around:
            await self._courier.deliver_batch(batch)

    async def _arrival(self, batch: Batch, task: asyncio.Task[None]) -> list[Enqueued[Any] | RotaError]:
        await task
        rows = zip(batch.plans, batch.queues, batch.settled(), strict=True)
        results = [
            reply if isinstance(reply, RotaError) else self._enqueued(plan, queue, reply) for plan, queue, reply in rows
        ]
        return batch.judged(results) if batch.unreplicated else results
