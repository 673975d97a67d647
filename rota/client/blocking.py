"""The client for blocking code: for Django, Flask and scripts.

`rota.client.core` has what both clients share, as coroutines. Here they block instead of waiting, and `finish` runs
them.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeVar, cast

from rota.broker.sync import SyncBroker
from rota.client.batch import Planned, cut
from rota.client.core import Core, log_failures
from rota.client.delivery import Delivery
from rota.client.operations import Wait
from rota.client.plans import check_plans
from rota.client.requests import SyncRequests
from rota.client.steps import Act
from rota.core.duration import DurationLike
from rota.core.sync_bridge import finish
from rota.errors import RotaError
from rota.tasks.job import Decode, Plan, SyncFace, SyncJob

R = TypeVar("R")


class SyncClient(Core[SyncBroker], SyncFace):
    """The blocking counterpart of `Client`. Threads can share it, and so can a forked process."""

    _job = SyncJob
    _blocking = True

    def _driver(self, delivery: Delivery) -> SyncRequests:
        if not delivery.wait_replicas:
            return SyncRequests(self.broker)
        from rota.client.replicas import SyncReplicas  # imported late, because few programs wait for replicas

        return SyncRequests(self.broker, SyncReplicas(self.broker, delivery))

    def carry_out(self, act: Act[R]) -> R:
        """Run each step of an operation until its end, and return its result."""
        return finish(self._requests.carry_out(act))

    def close(self) -> None:
        """Close the connections that no thread is using."""
        self.origin.close()

    def enqueue(self, plan: Plan[R]) -> SyncJob[R]:
        """Enqueue one task. Raises DuplicateTask, TaskIdConflict, or a BrokerError."""
        return cast("SyncJob[R]", finish(self._enqueue_within(plan)))

    def enqueue_many(self, plans: Iterable[Plan[Any]]) -> list[SyncJob[Any] | RotaError]:
        """Enqueue any number of tasks. The list has one outcome for each plan (see `Client.enqueue_many`)."""
        outcomes = list(self.enqueue_stream(plans))
        log_failures(outcomes)
        return outcomes

    def enqueue_stream(
        self, plans: Iterable[Plan[Any]], *, chunk: int | None = None
    ) -> Generator[SyncJob[Any] | RotaError]:
        """Enqueue plans while an iterable yields them, and yield an outcome for each plan, as `enqueue_many` does."""
        check_plans(plans, blocking=True)
        return self._stream(plans, self._chunk(chunk))

    def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:
        """Wait for the end of a task and return its stored result (see `Client.result`)."""
        return finish(self._result(queue, task_id, Wait.of(timeout)))

    def call(self, plan: Plan[R], timeout: DurationLike | None = None) -> R:
        """Enqueue one task, wait for its end, and return its result (see `Rota.call`)."""
        return cast(R, finish(self._call(plan, timeout)))

    def job(self, queue: str, task_id: str, *, type: str = "", decode: Decode | None = None) -> SyncJob[Any]:
        """Return a handle to a task that was enqueued earlier, without a request to the server.

        `decode` reads the stored result; None means JSON.
        """
        return cast("SyncJob[Any]", self._handle(queue, task_id, type, decode))

    def _stream(self, plans: Iterable[Plan[Any]], chunk: int) -> Generator[SyncJob[Any] | RotaError]:
        for some in cut(plans, chunk):
            yield from finish(self._send(some))

    async def _send(self, plans: Sequence[Planned]) -> list[Any]:
        batch, around = await self._start(plans)
        await self._deliver_within(batch, around)
        return self._outcomes(batch)
