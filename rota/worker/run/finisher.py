"""The finisher: records the outcomes of attempts, many in one call.

Outcomes that arrive while a call is under way form the next batch, so no outcome waits for a timer. An outcome is kept
and sent again until the server has answered, so that a handler that succeeded does not run again because a call failed.

How a batch is sent:

1. The server answers: the batch is recorded. An outcome of an attempt that does not hold its task any more is refused
   and discarded, with a log line.
2. The server does not answer: wait and send the batch again. If it was large and may have reached the server, send it
   in two halves, because its size may be the reason.
3. The server refuses the whole batch: send each outcome by itself until it is taken, so that one outcome does not
   prevent the recording of the others.

The counts of the minute (`outcome_counts`) are a part of the request. If the server has refused some of a batch, it has
counted none of it, and the counts of the others are sent by themselves, once.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from weakref import WeakSet

from rota import events
from rota.broker.broker import Broker
from rota.broker.link import Link
from rota.core import faults
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable
from rota.wire import minute
from rota.wire import outcome as wire
from rota.wire.attempts import LIMIT_BYTES
from rota.wire.keys import QueueKeys
from rota.wire.outcome import Outcome
from rota.wire.script import MOST_RECORDED, Call
from rota.worker.clock import lease_clock
from rota.worker.run.attempt import Attempt
from rota.worker.run.outcome_counts import Ended, counts_of
from rota.worker.ticker import Backoff

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.02
LAST_WAIT_SECONDS = 0.25
"""The longest pause between the tries of a worker that stops, because the broker may be back before the worker ends."""
MOST_BYTES = 4 * 1024 * 1024
"""At most this many bytes of messages and results in one request. A server or a slow network may not accept much more
at once, and the event loop is blocked while a request is packed."""
SMALL_BYTES = 64 * 1024
"""A lost request up to this size is sent again as it is; a larger one is sent in two halves."""
_REASONS = {
    wire.RECORDED: "another client has ended or moved it meanwhile",
    wire.FENCED: "another attempt has taken it over",
    wire.GONE: "it was deleted meanwhile",
}

COUNTS = ("recorded", "calls", "discarded", "repeated")


@dataclass(slots=True)
class FinishStatistics:
    """Counts since the start.

    `discarded` counts outcomes that came too late: another attempt had the task, or the task was moved or deleted.
    `repeated` counts outcomes that were sent again.
    """

    recorded: int = 0
    calls: int = 0
    discarded: int = 0
    repeated: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    """Outcomes that were not a plain success, by their kinds."""
    lost_at: float = 0.0
    """`time.monotonic()` of the first failure to record after the last success; 0 while recording works."""

    def add(self, other: "FinishStatistics") -> None:
        """Add the counts of another finisher."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kinds.update(other.kinds)

    def fail(self, outcomes: int) -> None:
        """Note that some outcomes have to be sent again."""
        self.repeated += outcomes
        self.lost_at = self.lost_at or time.monotonic()


class HasLink(Protocol):
    """The fetcher of the same node, whose connection also records the outcomes. Without one, the broker's is used."""

    link: Link | None


class Finisher:
    """Records outcomes. The outcome `None` is a plain success: without a result to keep or a lock to release."""

    def __init__(
        self,
        broker: Broker,
        fetcher: HasLink,
        recorded: Callable[[list[Attempt]], None],
        batch: int,
        attempts_limit: int = LIMIT_BYTES,
    ) -> None:
        self._broker = broker
        self._fetcher = fetcher
        self._recorded = recorded
        self._batch = min(batch, MOST_RECORDED)
        self._attempts_limit = attempts_limit
        self._ended: list[Ended] = []
        self._arrived = asyncio.Event()
        self._insisting: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._backoffs: WeakSet[Backoff] = WeakSet()
        self._most_seconds = float("inf")
        self._interrupted = False
        """Whether a run ended while outcomes were under way, so that some may be recorded already."""
        self.statistics = FinishStatistics()

    def add(self, attempt: Attempt, outcome: Outcome | None) -> None:
        """Add an outcome. It is recorded as soon as possible."""
        if not self._ended:
            self._arrived.set()
        self._ended.append((attempt, outcome))

    async def flush(self) -> None:
        """Wait until all outcomes are recorded. From now on the pauses between tries are short, as time is limited."""
        self._most_seconds = LAST_WAIT_SECONDS
        for backoff in self._backoffs:
            backoff.hurry(LAST_WAIT_SECONDS)
        while self._ended or self._insisting or not self._idle.is_set():
            await self._idle.wait()
            if self._insisting:
                await asyncio.wait(self._insisting)
            await asyncio.sleep(0)  # `_idle` is still set until `run` gets its turn: without this it never would

    async def run(self) -> None:
        """Record until cancelled. Outcomes that were left by a failed call of `run` are recorded first."""
        if self._ended:
            self._arrived.set()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            ended, self._ended = self._ended, []
            self._idle.clear()
            try:
                batches = _batches_of(ended, self._batch)
                if len(batches) == 1:
                    await self._record(*batches[0], repeated=self._interrupted)
                else:
                    records = (self._record(queue, part, repeated=self._interrupted) for queue, part in batches)
                    await asyncio.gather(*records)
            except BaseException:  # also a cancel: `record_rest` runs this again after a fault of another part
                self._ended = ended + self._ended
                self._interrupted = True
                raise
            finally:
                self._idle.set()

    async def _record(self, queue: QueueKeys, items: list[Ended], *, repeated: bool = False) -> None:
        backoff: Backoff | None = None
        while True:
            try:
                refused = await self._send(self._call(queue, items))
                break
            except BrokerRefused as error:
                # One outcome that the server refuses must not prevent the recording of the others.
                events.emit(events.OutcomesRefused(error=error))
                return self._set_aside(queue, items)
            except BrokerUnavailable as error:
                repeated = repeated or error.maybe_applied
                self.statistics.fail(len(items))
                backoff = backoff or self._backoff(5)
                await backoff.wait(error, f"Recording {counted(len(items), 'outcome')}")
                if error.maybe_applied and len(items) > 1 and _bytes(items) > SMALL_BYTES:
                    return await self._record_halves(queue, items)
        self._settle(items, refused, repeated=repeated)
        if refused:
            await self._count_others(queue, items, refused)
        return None

    async def _record_halves(self, queue: QueueKeys, items: list[Ended]) -> None:
        """Send a request again in two halves, because it may have been too large for the server or the network."""
        middle = len(items) // 2
        for half in (items[middle:], items[:middle]):  # the later half first, as in `_batches_of`
            await self._record(queue, half, repeated=True)

    async def _count_others(self, queue: QueueKeys, items: list[Ended], refused: dict[int, int]) -> None:
        """Count the outcomes of a batch that were recorded although others were refused."""
        others = [item for index, item in enumerate(items) if index not in refused]
        if others and (counts := counts_of(others)):
            # Not sent again: if the answer is lost, these outcomes may be counted already.
            with suppress(BrokerError):
                await self._send(minute.add(queue, counts))

    def _set_aside(self, queue: QueueKeys, items: list[Ended]) -> None:
        for item in items:
            task = asyncio.get_running_loop().create_task(self._insist(queue, item))
            self._insisting.add(task)
            task.add_done_callback(self._insisting.discard)

    async def _insist(self, queue: QueueKeys, item: Ended) -> None:
        """Send one outcome by itself until it is taken: permissions may be granted, or a wrong key deleted."""
        backoff = self._backoff(30)
        refused: dict[int, int] | None = None
        while refused is None:
            try:
                refused = await self._send(self._call(queue, [item]))
            except Exception as again:  # any error, because nothing else would record this outcome
                self.statistics.fail(1)
                await backoff.wait(again, f"Recording task {item[0].id}")
        self._settle([item], refused, repeated=True)

    def _backoff(self, most_seconds: float) -> Backoff:
        backoff = Backoff(FIRST_WAIT_SECONDS, min(most_seconds, self._most_seconds))
        self._backoffs.add(backoff)
        return backoff

    def _settle(self, items: list[Ended], refused: dict[int, int], *, repeated: bool) -> None:
        self.statistics.calls += 1
        self.statistics.lost_at = 0.0
        if items[0][1] is not None:  # of a batch, all outcomes are plain successes or none is
            self.statistics.kinds.update(outcome.kind for _, outcome in items if outcome is not None)
        self.statistics.recorded += len(items) - len(refused)
        for index, code in refused.items():
            self._explain(items[index][0], code, repeated)
        self._recorded([attempt for attempt, _ in items])

    def _call(self, queue: QueueKeys, items: list[Ended]) -> Call[dict[int, int]]:
        now = lease_clock()
        if items[0][1] is None and not [attempt for attempt, _ in items if attempt.lease_until < now]:
            return wire.done(
                queue, [word for attempt, _ in items for word in (attempt.id, attempt.token)], counts_of(items)
            )
        outcomes = [
            _guarded(attempt, outcome, now) if outcome is None or attempt.lease_until < now else outcome
            for attempt, outcome in items
        ]
        return wire.record(queue, outcomes, counts_of(items), attempts_limit=self._attempts_limit)

    async def _send(self, call: Call[T]) -> T:
        link = self._fetcher.link
        faults.reach("record:send")
        if link is None or link.closed:  # the fetcher connects again, or has ended before the last outcomes
            answer = await self._broker.run(call)
        else:
            answer = await self._broker.run_via(link, call)
        faults.answered("record:answered")
        return answer

    def _explain(self, attempt: Attempt, code: int, repeated: bool) -> None:
        if repeated and code in (wire.RECORDED, wire.GONE):  # an earlier sending has recorded it, or deleted the task
            self.statistics.recorded += 1
            return
        self.statistics.discarded += 1
        events.emit(events.LateResultDiscarded(**attempt.about, reason=_REASONS[code], token=attempt.token))


def _batches_of(ended: list[Ended], most: int) -> list[tuple[QueueKeys, list[Ended]]]:
    """Divide outcomes into batches of one queue. Plain successes are apart, because they have a shorter script."""
    if len(ended) == 1:  # as in an idle worker, which is spared two calls
        return [(ended[0][0].queue, ended)]
    alike: dict[tuple[QueueKeys, bool], list[Ended]] = defaultdict(list)
    latest: list[Ended] = []
    queue: QueueKeys | None = None
    plain = False
    for item in ended:
        attempt, outcome = item
        if attempt.queue is not queue or (outcome is None) is not plain:
            queue, plain = attempt.queue, outcome is None
            latest = alike[queue, plain]
        latest.append(item)
    # In reverse order, because each call puts tasks that are handed back at the front of the queue.
    return [(queue, part) for (queue, _), items in alike.items() for part in reversed(_batches(items, most))]


def _batches(items: list[Ended], most: int) -> list[list[Ended]]:
    batches: list[list[Ended]] = []
    start = size = 0
    now = lease_clock()
    if items[0][1] is None and not [attempt for attempt, _ in items if attempt.lease_until < now]:
        return [items[at : at + most] for at in range(0, len(items), most)]  # each takes a few bytes, so count them
    for index, item in enumerate(items):
        plain = item[1] is None and item[0].lease_until >= now
        added = 0 if plain else _size(item, now)
        if index > start and (index - start == most or size + added > MOST_BYTES):
            batches.append(items[start:index])
            start, size = index, 0
        size += added
    return [*batches, items[start:]]


def _size(item: Ended, now: float) -> int:
    attempt, outcome = item
    expected = len(attempt.raw) if attempt.lease_until < now else 0
    if outcome is None:
        return expected
    return expected + len(outcome.message) + len(outcome.text) + len(outcome.trace) + len(outcome.attempt)


def _bytes(items: list[Ended]) -> int:
    now = lease_clock()
    return sum(_size(item, now) for item in items)


def _guarded(attempt: Attempt, outcome: Outcome | None, now: float) -> Outcome:
    outcome = outcome or Outcome(attempt.id, attempt.token, "done")
    if attempt.lease_until < now:  # a Go server may have taken the task over, and keeps our token (`standing.lua`)
        outcome.expected = attempt.raw
    return outcome
