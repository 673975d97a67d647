"""The blocking face of the client: for Django, Flask and scripts."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from rota.broker.sync import SyncBroker, SyncSubscription
from rota.client import acts
from rota.client.acts import Act, Command, Step
from rota.client.batch import Batch, cut
from rota.client.core import ENQUEUE_BATCH, RESENDS, RESULT_POLL, Core, raise_failure
from rota.client.hooks import enter_sync, swallowed
from rota.client.packing import STATES, refusal
from rota.duration import DurationLike, parse
from rota.enqueued import Plan, SyncEnqueued
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable, RotaError
from rota.info import TaskInfo
from rota.middleware import EnqueueMiddleware
from rota.wire.enqueue import Reply
from rota.wire.script import Argument, Call

R = TypeVar("R")
T = TypeVar("T")


class SyncClient(Core):
    """The same as `Client`, blocking. Safe to share between threads, and over a fork."""

    def __init__(
        self,
        broker: SyncBroker,
        *,
        middlewares: Sequence[EnqueueMiddleware] = (),
        result_poll: timedelta = RESULT_POLL,
        enqueue_batch: int = ENQUEUE_BATCH,
    ) -> None:
        super().__init__(broker.keys, middlewares, result_poll, enqueue_batch)
        self.broker = broker

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
            with ExitStack() as stack:
                if self._middlewares:
                    some = [enter_sync(stack, self._middlewares, plan) for plan in some]
                batch = Batch(self._packer, some)
                self._carry(batch)
            for plan, queue, reply in zip(batch.plans, batch.queues, batch.settled(), strict=True):
                yield reply if isinstance(reply, RotaError) else self._enqueued(plan, queue, reply)

    def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:
        """Wait for the end of a task and return its stored result (see `Client.result`)."""
        keys = self._keys.queue(queue)
        seconds = None if timeout is None else parse(timeout, "timeout").total_seconds()
        try:
            with self.broker.subscribe(keys.ended(task_id)) as messages:
                return self._do(acts.result(keys, task_id, seconds, self._poll_seconds), messages)
        except BrokerRefused:  # no right to subscribe: looking is enough
            return self._do(acts.result(keys, task_id, seconds, self._poll_seconds), None)

    def info(self, queue: str, task_id: str) -> TaskInfo:
        """Look a task up. Raises TaskNotFound once it is gone."""
        return self._do(acts.info(self._keys.queue(queue), task_id))

    def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End a task: at once if it waits, by its worker if it runs. Nothing happens to one that has ended."""
        self._do(acts.cancel(self._keys.queue(queue), task_id, reason, self._keys.cancel))

    def delete(self, queue: str, task_id: str) -> None:
        """Delete a task that does not run, and give its unique lock back."""
        self._do(acts.delete(self._keys.queue(queue), task_id))

    def run_now(self, queue: str, task_id: str) -> None:
        """Let a scheduled, retried, grouped, archived or completed task run now."""
        self._do(acts.run_now(self._keys.queue(queue), task_id))

    def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a scheduled, retried or pending task to an instant, or to so long from now by the server's clock."""
        self._do(acts.reschedule(self._keys.queue(queue), task_id, when))

    def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that does not run. Its unique lock moves with it."""
        self._do(acts.update_payload(self._keys.queue(queue), task_id, payload))

    def _enqueue(self, plan: Plan[R]) -> SyncEnqueued[R]:
        keys, call = self._packer.single(plan)
        if self._published.is_due(keys.queue):
            self._publish(keys.queue)
        reply = self._send(call)
        if error := refusal(plan, keys.queue, reply):
            raise error
        return self._enqueued(plan, keys.queue, reply)

    def _enqueued(self, plan: Plan[R], queue: str, reply: Reply) -> SyncEnqueued[R]:
        reason, task_id, state = reply
        return SyncEnqueued(
            task_id, queue, plan.type, STATES[state], created=reason == "created", actions=self, decode=plan.decode
        )

    def _publish(self, queue: str) -> None:
        self._command("SADD", self._keys.queues, queue, key=self._keys.queues)
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
        results = self.broker.run_many([sending.call for sending in batch.sendings])
        for sending, result in zip(batch.sendings, results, strict=True):
            if isinstance(result, BrokerUnavailable) and result.maybe_applied:
                result = self._again(sending.call)
            batch.settle(sending, result)

    def _again(self, call: Call[T]) -> T | BrokerError:
        try:
            return self._send(call)
        except BrokerError as error:
            return error

    def _send(self, call: Call[T]) -> T:
        return _repeated(lambda: self.broker.run(call))

    def _command(self, *words: Argument, key: str | None) -> Any:
        return _repeated(lambda: self.broker.execute(*words, key=key))

    def _do(self, act: Act[R], messages: SyncSubscription | None = None) -> R:
        answer: Any = None
        error: BrokerError | None = None
        try:
            while True:
                step = act.send(answer) if error is None else act.throw(error)
                try:
                    answer, error = self._take(step, messages), None
                except BrokerError as raised:
                    error = raised
        except StopIteration as end:
            return cast(R, end.value)

    def _take(self, step: Step, messages: SyncSubscription | None) -> Any:
        if isinstance(step, Call):
            return self._send(step)
        if isinstance(step, Command):
            return self._command(*step.words, key=step.key)
        if messages is not None:
            with suppress(BrokerUnavailable):  # the connection is lost, and looking goes on
                message = messages.get(timedelta(seconds=step.seconds))
                return None if message is None else message[1]
        return time.sleep(step.seconds)


def _repeated(ask: Callable[[], T]) -> T:
    for _ in range(RESENDS):
        try:
            return ask()
        except BrokerUnavailable as error:
            if not error.maybe_applied:
                raise
    return ask()
