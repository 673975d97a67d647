"""The client for blocking code: for Django, Flask and scripts."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rota.broker.sync import SyncBroker
from rota.client import operations as acts
from rota.client.batch import Batch, Planned, cut
from rota.client.core import ENQUEUE_BATCH, RESULT_POLL, Core, log_failures
from rota.client.delivery import Delivery
from rota.client.hooks import enter_each_sync, enter_sync, swallowed
from rota.client.packing import PAYLOAD_LIMIT_BYTES, STATES, textual
from rota.client.plans import check_plan, check_plans
from rota.client.requests import SyncRequests
from rota.core.duration import DurationLike, parse
from rota.errors import BrokerRefused, RotaError
from rota.tasks.info import TaskInfo
from rota.tasks.job import Plan, SyncJob
from rota.tasks.middleware import EnqueueMiddleware
from rota.wire.enqueue import Reply

if TYPE_CHECKING:
    from rota.client.replicas import SyncReplicas

R = TypeVar("R")


class SyncClient(Core):
    """The blocking counterpart of `Client`. Threads can share it, and so can a forked process."""

    def __init__(
        self,
        broker: SyncBroker,
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
        replicas = _replicas(self.broker, delivery) if delivery.wait_replicas else None
        self._requests = SyncRequests(self.broker, replicas)
        self._retry_seconds = self._requests.seconds

    def _copy(self, delivery: Delivery) -> "SyncClient":
        return SyncClient(
            self._origin,
            middlewares=self._middlewares,
            result_poll=self._result_poll,
            enqueue_batch=self._enqueue_batch,
            delivery=delivery,
            payload_limit_bytes=self._payload_limit_bytes,
        )

    def close(self) -> None:
        """Close the connections that no thread is using."""
        self._origin.close()

    def enqueue(self, plan: Plan[R]) -> SyncJob[R]:
        """Enqueue one task. Raises DuplicateTask, TaskIdConflict, or a BrokerError."""
        if not self._middlewares:
            return self._enqueue(plan)
        check_plan(plan)
        with ExitStack() as stack:
            return self._enqueue(enter_sync(stack, self._middlewares, plan))
        raise swallowed()

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
        keys = self._place(queue, task_id)
        seconds = None if timeout is None else parse(timeout, "timeout").total_seconds()
        try:
            with self.broker.subscribe(keys.ended(task_id)) as messages:
                return self._requests.carry_out(acts.result(keys, task_id, seconds, self._poll_seconds), messages)
        except BrokerRefused:  # no permission to subscribe, so only poll
            return self._requests.carry_out(acts.result(keys, task_id, seconds, self._poll_seconds), None)

    def info(self, queue: str, task_id: str) -> TaskInfo:
        """Return a snapshot of a task. Raises TaskNotFound if it does not exist any more."""
        return self._requests.carry_out(acts.info(self._place(queue, task_id), task_id))

    def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End a task without a retry: a waiting task at once, a running task by its worker.

        A task that has ended stays as it is.
        """
        self._requests.carry_out(
            acts.cancel(self._place(queue, task_id), task_id, textual("reason", reason), self._keys.cancel)
        )

    def delete(self, queue: str, task_id: str) -> None:
        """Delete a task that does not run, and release its unique lock."""
        self._requests.carry_out(acts.delete(self._place(queue, task_id), task_id))

    def run_now(self, queue: str, task_id: str) -> None:
        """Make a scheduled, retried, grouped, archived or completed task pending, so that it runs next."""
        self._requests.carry_out(acts.run_now(self._place(queue, task_id), task_id))

    def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a scheduled, retried or pending task to an instant, or to a duration from now by the server's clock."""
        self._requests.carry_out(acts.reschedule(self._place(queue, task_id), task_id, when))

    def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that does not run. Its unique lock moves to the key of the new payload."""
        payload = self._checked_payload(task_id, payload)
        self._requests.carry_out(acts.update_payload(self._place(queue, task_id), task_id, payload))

    def _enqueue(self, plan: Plan[R]) -> SyncJob[R]:
        check_plan(plan)
        return cast("SyncJob[R]", self._requests.carry_out(self._enqueue_one(plan)))

    def _receipt(self, plan: Plan[R], queue: str, reply: Reply) -> SyncJob[R]:
        reason, task_id, state = reply
        created = reason == "created"
        # A task that existed already was enqueued with its own retention, which is not known here.
        kept = not created or bool(plan.options.retention)
        return SyncJob(
            task_id, queue, plan.type, STATES[state], created=created, actions=self, decode=plan.decode, kept=kept
        )

    def _stream(self, plans: Iterable[Plan[Any]], chunk: int) -> Generator[SyncJob[Any] | RotaError]:
        for some in cut(plans, chunk):
            yield from self._outcomes(self._carry(some))

    def _carry(self, plans: Sequence[Planned]) -> Batch:
        with ExitStack() as stack:
            if self._middlewares:
                plans = enter_each_sync(stack, self._middlewares, plans)
            batch = Batch(self._packer, plans)
            self._requests.carry_out(self._prepare(batch))
            self._requests.carry_out(self._deliver(batch))
        return batch


def _replicas(broker: SyncBroker, delivery: Delivery) -> "SyncReplicas":
    from rota.client.replicas import SyncReplicas  # imported late, because few programs wait for replicas

    return SyncReplicas(broker, delivery)
