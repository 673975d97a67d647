"""The recoverer: gives back the tasks of attempts whose lease has expired, and of aggregations that died.

The death of a Rota worker is a crash for its tasks: they go back to the front of their queue, no retry is used, and
after `max_crashes` crashes a task goes to quarantine. The death of a Go server is a failure, as in Asynq: see
`as_failure`. The form of its lease shows whether an attempt was Rota's or Go's (`wire/lua/whose.lua`).

The steps for one queue:

1. Read a page of attempts whose lease has been expired for long enough, by the clock of Redis.
2. If that clock has jumped ahead, stop and wait (see below).
3. Decide for each attempt where its task goes, and move the tasks with one script. It compares lease, message and token
   again, so that each task is moved only once, even if several recoverers find it.
4. Go on with the next page.
5. Give back the sets of aggregations whose deadline is over.

After an outage of the broker, or when its clock was set ahead, all leases have expired although the workers live. So
after its start, after every outage and after such a jump, the recoverer waits for a few heartbeats before it moves
tasks. It never moves a task that this worker holds.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from google.protobuf.message import DecodeError

from rota import events
from rota.broker import Broker
from rota.broker.failure import NodeReplies
from rota.core import faults, tracebacks
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused, RotaError
from rota.tasks.policy import Retry
from rota.wire.attempts import LIMIT_BYTES
from rota.wire.message import with_failure
from rota.wire.proto import TaskMessage
from rota.wire.recover import Dead, Expired, Move, Moved, Slack, expired, reclaim_sets, recover
from rota.worker.clock import BrokerClock
from rota.worker.consume.lost_fetches import ReplyLimit
from rota.worker.run.verdict import ASYNQ_DEFAULT_RETRY

LEASE_EXPIRED = "asynq: task lease expired"
QUARANTINED = (
    "quarantined: {crashes} died or were lost while running this task. The last one was {worker}; its lease "
    "was not extended any more, and no supervisor of it was there to say why"
)
SLACK = Slack(ours=timedelta(seconds=5), go=timedelta(seconds=30))
AFTER_GO, AFTER_EACH = timedelta(seconds=3), timedelta(milliseconds=10)
"""The shortest delay before a task of a Go server runs again, and how much longer it is for each task before it.
Asynq's recoverer reads its list of expired leases once. Then it moves these tasks in the same order, one in each round
trip, without a further check. No task may run before that recoverer has passed it."""
_ASYNQ_POLICY = Retry()


class LeaseExpired(RotaError):
    """The lease of a task expired: its worker died, or could not reach the broker."""


class Recovery(NamedTuple):
    """The verdict on a task whose Go server died: it runs again after `delay`; None sends it to the archive."""

    delay: timedelta | None
    counts: bool = True
    text: str = LEASE_EXPIRED
    ending: str = ""


Judge = Callable[[TaskMessage, str], Recovery]
"""Takes the message, and which options were given for its call (`wire.enqueue.Item.explicit`)."""


def as_failure(policy_of: Callable[[str], Retry | None]) -> Judge:
    """Return a function that judges as Asynq does: the loss of a server is a failure of its tasks.

    `policy_of` returns the retry policy of a type.
    """

    def judge(message: TaskMessage, explicit: str) -> Recovery:
        error = LeaseExpired(LEASE_EXPIRED)
        policy = policy_of(message.type) or _ASYNQ_POLICY
        # Asynq's clients write 25 if the number of retries was not given; then the policy decides, as in `verdict`.
        unsaid = message.retry == ASYNQ_DEFAULT_RETRY and "max_retry" not in explicit
        allowed = policy.max if unsaid else message.retry
        if message.retried >= allowed:
            return Recovery(None)
        try:
            return Recovery(policy.next_delay(message.retried, error), bool(policy.counts(error)))
        except BaseException as fault:  # a policy may hold functions of the user; a `sys.exit()` would end the loop
            about = events.about_task(message.id, message.type, message.queue, message.retried)
            events.emit(events.RetryUndecided(**about, error=fault, trace=tracebacks.text_of(fault)))
            return Recovery(_ASYNQ_POLICY.next_delay(message.retried, error))

    return judge


def _unread(dead: Dead, shortest: timedelta) -> Move:
    """Return the move of a Go server's task with a message too large to be read: the script adds the failure to it."""
    if dead.cancel:
        return Move(dead, "archive", counts=False, text=f"cancelled: {dead.cancel}", ending="cancelled")
    return Move(dead, "retry", delay=shortest, text=LEASE_EXPIRED)


@dataclass(frozen=True, slots=True)
class RecovererStatistics:
    """Tasks given back since the start, by where they went. `dropped` counts leases of tasks that no longer exist."""

    passes: int
    crashed: int
    retried: int
    archived: int
    cancelled: int
    dropped: int
    reclaimed: int


class Recoverer:
    """Recovers the attempts of queues, except those whose tokens `own_tokens` returns.

    An attempt counts as dead when its lease has been expired for `slack`. The slack of Go servers is longer, because
    they extend leases by their own clocks, which may differ from the clock of Redis.
    """

    def __init__(
        self,
        broker: Broker,
        judge: Judge,
        own_tokens: Callable[[], Iterable[str]] = tuple,
        slack: Slack = SLACK,
        settle: timedelta = timedelta(seconds=10),
        limit: int = 100,
        max_crashes: int = 3,
        attempts_limit: int = LIMIT_BYTES,
        clock: BrokerClock | None = None,
    ) -> None:
        self._broker = broker
        self._judge = judge
        self._own_tokens = own_tokens
        self._slack = slack
        self._settle_seconds = settle.total_seconds()
        self._limit = limit
        self._max_crashes = max_crashes
        self._attempts_limit = attempts_limit
        self._clock = clock or BrokerClock()
        self._reply_limit = ReplyLimit()
        self._not_before = 0.0
        self._counts: Counter[str] = Counter()

    def hold(self) -> None:
        """Recover nothing for a while: after a start or an outage, other workers need time to extend their leases."""
        self._not_before = time.monotonic() + self._settle_seconds

    def note_time(self, now: float) -> None:
        """Note the server's time of a reply. The worker may be idle, so that it gets no other reply for minutes."""
        self._clock.set(now)

    @property
    def held_seconds(self) -> float:
        """For how many seconds nothing is to be recovered yet."""
        return max(0.0, self._not_before - time.monotonic())

    async def recover(self, queues: Iterable[str]) -> int:
        """Give back the tasks of all dead attempts; return how many. A refusal is raised after the other queues."""
        moved = 0
        answers = NodeReplies()
        for queue in list(queues):
            try:
                moved += await self._recover(queue)
            except BrokerRefused as error:
                answers.refuse(error)
        self._counts["passes"] += 1
        answers.check()
        return moved

    def statistics(self) -> RecovererStatistics:
        """Return a snapshot."""
        count = self._counts
        return RecovererStatistics(
            passes=count["passes"],
            crashed=count["crash"],
            retried=count["retry"],
            archived=count["archive"],
            cancelled=count["cancelled"],
            dropped=count["dropped"],
            reclaimed=count["reclaimed"],
        )

    async def _recover(self, queue: str) -> int:
        found = await self._look(queue)
        self._clock.set(found.now)
        # Otherwise a clock that was set ahead makes the tasks of all live workers run twice.
        if self._clock.jumped_within(self._settle_seconds):
            events.emit(events.ClockJumped())
            self.hold()
            return 0
        moved = await self._recover_queue(queue, found)
        if found.stale_sets:
            await self._reclaim_sets(queue)
        return moved

    async def _look(self, queue: str) -> Expired:
        limit = self._reply_limit
        call = expired(
            self._broker.keys.queue(queue), self._slack, self._limit, limit.bytes, only_smaller=limit.lowered
        )
        try:
            return await self._broker.run(call)
        except BrokerError as error:
            if error.maybe_applied:
                limit.shrink()  # the reply may be too large for the server's output buffer, as in `lost_fetches`
            raise

    async def _recover_queue(self, queue: str, found: Expired) -> int:
        keys = self._broker.keys.queue(queue)
        total = of_go = 0
        while True:
            own = set(self._own_tokens())  # for each page anew, because this worker fetches tasks meanwhile
            moves: list[Move] = []
            for dead in found.attempts:
                if dead.token.decode("latin-1") not in own:
                    moves.append(self._move(dead, found, AFTER_GO + of_go * AFTER_EACH))
                    of_go += not dead.ours
            if not moves:
                return total
            faults.reach("recover:send")
            call = recover(keys, self._slack, moves, self._max_crashes, self._attempts_limit)
            codes = await self._broker.run(call)
            faults.answered("recover:answered")
            moved = self._note(queue, moves, codes)
            total += moved
            settled = moved + codes.count(Moved.DROPPED)
            # Only moved and dropped tasks have left the list. If there are none, the next page would be the same.
            if not found.more or settled == 0:
                return total
            found = await self._look(queue)

    def _move(self, dead: Dead, found: Expired, shortest: timedelta) -> Move:
        if dead.left_out:
            return self._crash(dead) if dead.ours else _unread(dead, shortest)
        if not dead.message:
            return Move(dead, "drop")
        try:
            message = TaskMessage.FromString(dead.message)
        except DecodeError as error:
            return Move(dead, "archive", text=f"{LEASE_EXPIRED}; its message cannot be read: {error}")
        if dead.ours:
            return self._crash(dead)
        if dead.cancel:
            recovery = Recovery(None, counts=False, text=f"cancelled: {dead.cancel}", ending="cancelled")
        else:
            recovery = self._judge(message, dead.explicit)
        delay, counts, text, ending = recovery
        stored = with_failure(message, text, int(found.now), counts=counts and delay is not None)
        if delay is None:
            return Move(dead, "archive", stored, counts=counts, text=text, ending=ending)
        return Move(dead, "retry", stored, max(delay, shortest), counts, text)

    def _crash(self, dead: Dead) -> Move:
        # Any program can write the field, so the token is read in an encoding in which no byte is wrong.
        worker = dead.token.decode("latin-1").rpartition("-")[0] or "a Go server"
        text = QUARANTINED.format(crashes=counted(self._max_crashes, "worker"), worker=worker)
        return Move(dead, "crash", text=text)

    def _note(self, queue: str, moves: list[Move], codes: list[Moved]) -> int:
        moved = 0
        for move, code in zip(moves, codes, strict=True):
            if code is Moved.DROPPED:
                self._counts["dropped"] += 1
            elif code is Moved.DONE:
                moved += 1
                self._counts[move.ending or move.kind] += 1
                self._report(queue, move)
        return moved

    def _report(self, queue: str, move: Move) -> None:
        events.emit(
            events.TaskRecovered(
                task_id=move.dead.id,
                queue=queue,
                kind=move.kind,
                delay_seconds=move.delay.total_seconds(),
                max_crashes=self._max_crashes,
            )
        )

    async def _reclaim_sets(self, queue: str) -> None:
        keys = self._broker.keys.queue(queue)
        while True:
            faults.reach("recover:sets")
            done = await self._broker.run(reclaim_sets(keys))
            faults.answered("recover:sets-answered")
            self._counts["reclaimed"] += done.tasks
            if done.tasks:
                events.emit(events.AggregationReclaimed(queue=queue, tasks=done.tasks))
            if not done.more:
                return
            await asyncio.sleep(0)
