"""The blocking face of the client: for Django, Flask and scripts."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from rota.broker.sync import SyncBroker
from rota.client import acts
from rota.client.batch import Batch, cut
from rota.client.buffered import SyncBuffered
from rota.client.core import ENQUEUE_BATCH, RESULT_POLL, Core, raise_failure, unless_fault
from rota.client.delivery import Delivery
from rota.client.hooks import enter_sync, swallowed
from rota.client.outbox_thread import OutboxThread
from rota.client.packing import PAYLOAD_LIMIT_BYTES, STATES, refusal
from rota.client.parcel import Parcel
from rota.client.replicas import SyncReplicas, Unreplicated
from rota.client.sender import Senders
from rota.client.sync_courier import SyncCourier
from rota.duration import DurationLike, parse
from rota.enqueued import Plan, SyncEnqueued
from rota.errors import BrokerError, BrokerRefused, RotaError
from rota.info import TaskInfo
from rota.middleware import EnqueueMiddleware
from rota.wire.enqueue import Reply

R = TypeVar("R")


class SyncClient(Core):
    """The same as `Client`, blocking. Safe to share between threads, and over a fork."""

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
        replicas = SyncReplicas(self.broker, delivery) if delivery.wait_replicas else None
        self._courier = SyncCourier(self.broker, Senders(), replicas)
        self._outbox = OutboxThread(broker, delivery) if delivery.buffers else None

    def _copy(self, delivery: Delivery) -> "SyncClient":
        return SyncClient(
            self._origin,
            middlewares=self._middlewares,
            result_poll=self._result_poll,
            enqueue_batch=self._enqueue_batch,
            delivery=delivery,
            payload_limit_bytes=self._payload_limit_bytes,
        )

    def _held(self) -> int:
        return 0 if self._outbox is None else len(self._outbox)

    def flush(self, timeout: DurationLike | None = None) -> bool:
        """Wait until nothing is buffered any more. Returns False when the time is over first."""
        longest = self._delivery.flush_timeout if timeout is None else parse(timeout, "timeout")
        boxes = [each._outbox for each in self._others.values() if each._outbox is not None]
        return all(box.flush(longest) for box in boxes)

    def close(self) -> list[Plan[Any]]:
        """Send what is buffered, for at most `flush_timeout`, and close. Returns what could not be sent."""
        lost: list[Plan[Any]] = []
        for each in self._others.values():
            if each._outbox is not None:
                lost += each._outbox.close()
        self._origin.close()
        return lost

    def enqueue(self, plan: Plan[R]) -> SyncEnqueued[R]:
        """Enqueue one task. Raises DuplicateTask, TaskIdConflict, or a BrokerError."""
        if not self._middlewares:
            return self._enqueue(plan)
        with ExitStack() as stack:
            return self._enqueue(enter_sync(stack, self._middlewares, plan))
        raise swallowed()

    def enqueue_many(self, plans: Iterable[Plan[Any]]) -> list[SyncEnqueued[Any] | RotaError]:
        """Enqueue any number of tasks; the results are in the order of the plans (see `Client.enqueue_many`)."""
        results = list(self.enqueue_stream(plans))
        raise_failure(results)
        return results

    def enqueue_stream(
        self, plans: Iterable[Plan[Any]], *, chunk: int | None = None
    ) -> Generator[SyncEnqueued[Any] | RotaError]:
        """Enqueue plans as they come from an iterable, and yield a result for each, in order; all errors are values."""
        for some in cut(plans, self._chunk(chunk)):
            if self._outbox is not None:
                yield from self._post_many(some)
                continue
            with ExitStack() as stack:
                if self._middlewares:
                    some = [enter_sync(stack, self._middlewares, plan) for plan in some]
                batch = Batch(self._packer, some)
                self._carry(batch)
            rows = zip(batch.plans, batch.queues, batch.settled(), strict=True)
            yield from batch.judged(
                [
                    reply if isinstance(reply, RotaError) else self._enqueued(plan, queue, reply)
                    for plan, queue, reply in rows
                ]
            )

    def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:
        """Wait for the end of a task and return its stored result (see `Client.result`)."""
        keys = self._keys.queue(queue)
        seconds = None if timeout is None else parse(timeout, "timeout").total_seconds()
        try:
            with self.broker.subscribe(keys.ended(task_id)) as messages:
                return self._courier.act(acts.result(keys, task_id, seconds, self._poll_seconds), messages)
        except BrokerRefused:  # no right to subscribe: looking is enough
            return self._courier.act(acts.result(keys, task_id, seconds, self._poll_seconds), None)

    def info(self, queue: str, task_id: str) -> TaskInfo:
        """Look a task up. Raises TaskNotFound once it is gone."""
        return self._courier.act(acts.info(self._keys.queue(queue), task_id))

    def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End a task: at once if it waits, by its worker if it runs. Nothing happens to one that has ended."""
        self._courier.act(acts.cancel(self._keys.queue(queue), task_id, reason, self._keys.cancel))

    def delete(self, queue: str, task_id: str) -> None:
        """Delete a task that does not run, and give its unique lock back."""
        self._courier.act(acts.delete(self._keys.queue(queue), task_id))

    def run_now(self, queue: str, task_id: str) -> None:
        """Let a scheduled, retried, grouped, archived or completed task run now."""
        self._courier.act(acts.run_now(self._keys.queue(queue), task_id))

    def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a scheduled, retried or pending task to an instant, or to so long from now by the server's clock."""
        self._courier.act(acts.reschedule(self._keys.queue(queue), task_id, when))

    def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that does not run. Its unique lock moves with it."""
        self._check_payload(task_id, payload)
        self._courier.act(acts.update_payload(self._keys.queue(queue), task_id, payload))

    def _enqueue(self, plan: Plan[R]) -> SyncEnqueued[R]:
        if self._outbox is not None:
            return self._accepted(plan, self._outbox, self._outbox.post(plan))
        keys, call = self._packer.single(plan)
        if self._published.is_due(keys.queue):
            self._publish(keys.queue)
        try:
            reply, missing = self._courier.deliver(keys, call), None
        except Unreplicated as error:
            reply, missing = cast(Reply, error.reply), error
        if refused := refusal(plan, keys.queue, reply):
            raise refused
        receipt = self._enqueued(plan, keys.queue, reply)
        if missing is not None:
            raise missing.of(receipt)
        return receipt

    def _accepted(self, plan: Plan[R], outbox: OutboxThread, parcel: Parcel) -> SyncEnqueued[R]:
        queue = parcel.keys.queue
        if isinstance(parcel.outcome, Reply):
            return self._enqueued(plan, queue, parcel.outcome)
        later = SyncBuffered(self, parcel, outbox.sent)
        receipt = SyncEnqueued[R](parcel.id, queue, plan.type, "buffered", actions=later, decode=plan.decode)
        parcel.hand_out(receipt)
        return receipt

    def _post_many(self, plans: list[Plan[Any]]) -> list[SyncEnqueued[Any] | RotaError]:
        outbox = cast(OutboxThread, self._outbox)
        with ExitStack() as stack:
            if self._middlewares:
                plans = [enter_sync(stack, self._middlewares, plan) for plan in plans]
            answers = [unless_fault(answer) for answer in outbox.post_many(plans)]
        return [
            answer if isinstance(answer, RotaError) else self._accepted(plan, outbox, answer)
            for plan, answer in zip(plans, answers, strict=True)
        ]

    def _enqueued(self, plan: Plan[R], queue: str, reply: Reply) -> SyncEnqueued[R]:
        reason, task_id, state = reply
        return SyncEnqueued(
            task_id, queue, plan.type, STATES[state], created=reason == "created", actions=self, decode=plan.decode
        )

    def _publish(self, queue: str) -> None:
        self._courier.command("SADD", self._keys.queues, queue, key=self._keys.queues)
        self._published.note(queue)

    def _publish_all(self, batch: Batch) -> None:
        try:
            for queue in batch.names():
                if self._published.is_due(queue):
                    self._publish(queue)
        except BrokerError as error:
            batch.fail(error)

    def _carry(self, batch: Batch) -> None:
        self._publish_all(batch)
        self._courier.deliver_batch(batch)
