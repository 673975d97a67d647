"""The client for asyncio code.

`rota.client.core` has what both clients share. This file has the signatures for asyncio, the short path of a single
enqueue, and the stream, which has several requests in flight.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable
from contextlib import aclosing
from time import monotonic
from typing import Any, TypeVar, cast

from rota.broker.broker import Broker
from rota.client.batch import Batch, in_chunks, of_task
from rota.client.batching import Batcher
from rota.client.core import Core, log_failures
from rota.client.delivery import Delivery, Unreplicated
from rota.client.operations import Wait
from rota.client.plans import check_plan, check_plans
from rota.client.requests import Requests
from rota.client.steps import Act
from rota.core.duration import DurationLike
from rota.errors import BrokerRefused, BrokerUnavailable, RotaError
from rota.tasks.job import AsyncFace, Decode, Job, Plan, TaskState

R = TypeVar("R")
Plans = Iterable[Plan[Any]] | AsyncIterable[Plan[Any]]

# The number of chunks in flight at once: the server handles one chunk while the client packs the next.
_IN_FLIGHT = 3


class Client(Core[Broker], AsyncFace):
    """Enqueues tasks, changes them, and waits for their end.

    The client sends a request again if its answer was lost, for `retry_for`.
    """

    _job = Job

    def _driver(self, delivery: Delivery) -> Requests:
        self._replicas = None
        if delivery.wait_replicas:
            from rota.client.replicas import Replicas  # imported late, because few programs wait for replicas

            self._replicas = Replicas(self.broker, delivery)
        requests = Requests(self.broker, self._replicas)
        self._batcher = Batcher(requests.enqueue, requests.enqueue_again)
        return requests

    def carry_out(self, act: Act[R]) -> Coroutine[Any, Any, R]:
        """Run each step of an operation until its end, and return its result."""
        return self._requests.carry_out(act)

    async def aclose(self) -> None:
        """Close the connections."""
        for each in self._others.values():
            if each._replicas is not None:
                await each._replicas.aclose()
        await self.origin.aclose()

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
                # Started here and not in the asyncio task: the next chunk must not overtake a chunk that has to publish
                # a queue name or to connect first.
                batch, around = await self._start(some)
                on_the_way.append((batch, asyncio.create_task(self._deliver_within(batch, around))))
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
        return await self._result(queue, task_id, Wait.of(timeout))

    async def call(self, plan: Plan[R], timeout: DurationLike | None = None) -> R:  # noqa: ASYNC109
        """Enqueue one task, wait for its end, and return its result (see `Rota.call`)."""
        return cast(R, await self._call(plan, timeout))

    def job(self, queue: str, task_id: str, *, type: str = "", decode: Decode | None = None) -> Job[Any]:
        """Return a handle to a task that was enqueued earlier, without a request to the server.

        `decode` reads the stored result; None means JSON.
        """
        return cast("Job[Any]", self._handle(queue, task_id, type, decode))

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
            client=self,
            decode=plan.decode,
            kept=bool(plan.options.retention),
        )
        try:
            await self._batcher.add(keys, task_id, message)
        except Unreplicated as missing:
            raise missing.of(receipt) from None
        except (BrokerUnavailable, BrokerRefused) as error:
            self._forget_if_refused(keys.queue, error)
            if not error.maybe_applied:
                raise
            raise of_task(error, packed) from error
        return receipt

    async def _arrival(self, batch: Batch, task: asyncio.Task[None]) -> list[Job[Any] | RotaError]:
        await task
        return self._outcomes(batch)
