"""Adds up a batch of outcomes by task type, in the words that `rota.wire.minute` describes.

Each task pays for it, so a batch of plain successes of one type, which is what a busy worker sends, has a short way.
"""

from collections.abc import Sequence

from rota.wire.minute import words
from rota.wire.outcome import Outcome
from rota.wire.script import Argument
from rota.worker.run.attempt import Attempt

_SUCCESSES = ("complete", "done")

Ended = tuple[Attempt, Outcome | None]


def counts_of(items: Sequence[Ended]) -> list[Argument]:
    """Return what to add to the counts of the minute. Outcomes that Asynq does not count are left out."""
    if items[0][1] is not None:
        return _of_any(items)
    type = items[0][0].type
    waits: list[float] = []
    runs: list[float] = []
    for attempt, _ in items:
        if attempt.type != type:  # the usual batch of one type is spared a lookup for each task
            return _of_any(items)
        waits.append(attempt.waited_us)
        runs.append(attempt.ran_seconds)
    return words(type, {"succeeded": len(items)}, waits, runs)


def _of_any(items: Sequence[Ended]) -> list[Argument]:
    found: dict[str, tuple[dict[str, int], list[float], list[float]]] = {}
    latest: str | None = None
    ends: dict[str, int] = {}
    waits: list[float] = []
    runs: list[float] = []
    for attempt, outcome in items:
        how = "succeeded" if outcome is None or outcome.kind in _SUCCESSES else _how(outcome)
        if not how:
            continue
        if attempt.type != latest:
            latest = attempt.type
            ends, waits, runs = found.setdefault(latest, ({}, [], []))
        ends[how] = ends.get(how, 0) + 1
        if attempt.begun:  # else its function was not called, so that it has no times
            waits.append(attempt.waited_us)
            runs.append(attempt.ran_seconds)
    return [word for type, lists in found.items() for word in words(type, *lists)]


def _how(outcome: Outcome) -> str:
    """Return how an attempt has ended that did not succeed, or an empty text if its outcome does not count."""
    if outcome.kind == "retry":
        return "retried" if outcome.counts else ""
    if outcome.kind == "archive":
        return "cancelled" if outcome.ending == "cancelled" else "failed"
    return ""
