"""Adds up a batch of outcomes by task type, in the words that `rota.wire.minute` describes.

Each task pays for it, so a batch of plain successes of one type, which is what a busy worker sends, has a short way.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from rota.wire.minute import bucket_counts
from rota.wire.outcome import Outcome
from rota.wire.script import Argument
from rota.worker.run.attempt import Attempt

Ended = tuple[Attempt, Outcome | None]


def counts_of(items: Sequence[Ended]) -> list[Argument]:
    """Return what to add to the counts of the minute. Outcomes that Asynq does not count are left out."""
    if items[0][1] is not None:
        return _of_any(items)
    type = items[0][0].type
    waits: list[float] = []
    runs: list[float] = []
    for attempt, _ in items:
        if attempt.type != type:
            return _of_any(items)
        waits.append(attempt.waited_us)
        runs.append(attempt.ran_seconds)
    number = len(items)
    times = bucket_counts(waits, runs)
    return [type, 2 + len(times) // 2, "n", number, "succeeded", number, *times]


def _of_any(items: Sequence[Ended]) -> list[Argument]:
    begun: dict[str, list[Attempt]] = defaultdict(list)
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    for attempt, outcome in items:
        how = _how(outcome)
        if how:
            ends[attempt.type][how] += 1
            if attempt.begun:  # else its function was not called, so that it has no times
                begun[attempt.type].append(attempt)
    words: list[Argument] = []
    for type, counts in ends.items():
        times = bucket_counts(
            [attempt.waited_us for attempt in begun[type]], [attempt.ran_seconds for attempt in begun[type]]
        )
        words += (type, 1 + len(counts) + len(times) // 2, "n", counts.total())
        for end in counts.items():
            words += end
        words += times
    return words


def _how(outcome: Outcome | None) -> str:
    """Return how an attempt has ended, or an empty text if its outcome does not count."""
    if outcome is None or outcome.kind in ("done", "complete"):
        return "succeeded"
    if outcome.kind == "retry":
        return "retried" if outcome.counts else ""
    if outcome.kind == "archive":
        return "cancelled" if outcome.ending == "cancelled" else "failed"
    return ""
