"""The events that tell how a run ended, and the record of the attempt that is stored with a task that is kept."""

import os
import socket
from collections.abc import Iterator

from rota import events
from rota.core import tracebacks
from rota.core.text import unstopped
from rota.errors import RetryLater
from rota.wire.attempts import members
from rota.worker.run.attempt import Attempt, Stop
from rota.worker.run.verdict import Verdict, allowed_retries


def outcome_events(attempt: Attempt, judged: Verdict) -> Iterator[events.Event]:
    """Return the events that tell of a verdict which is not a plain success."""
    outcome, error, trace = judged.outcome, judged.error, judged.trace
    if judged.fault is not None:
        fault = judged.fault
        yield events.RetryUndecided(**attempt.about, error=fault, trace=tracebacks.text_of(fault))
    if judged.quiet or outcome is None:
        return
    reason = unstopped(outcome.text.decode(errors="replace"))
    if outcome.kind == "retry":
        yield events.TaskRetried(
            **attempt.about,
            reason=reason,
            error=error,
            trace=trace,
            delay_seconds=outcome.seconds,
            counts=outcome.counts,
            max_retry=allowed_retries(attempt),
        )
    elif outcome.kind == "archive":
        final, ending = judged.exhausted, outcome.ending
        yield events.TaskArchived(**attempt.about, reason=reason, error=error, trace=trace, ending=ending, final=final)
    elif outcome.kind == "requeue":
        yield events.TaskHandedBack(**attempt.about, reason=reason, error=error, trace=trace, stop=attempt.stop)


def end_event(attempt: Attempt, judged: Verdict, seconds: float, log_level: int) -> events.TaskEnded:
    """Return the event that tells of the end of a run."""
    how = _how(judged)
    return events.TaskEnded(
        **attempt.about, outcome=how, seconds=seconds, final=judged.exhausted, error=judged.error, log_level=log_level
    )


_HANDED_BACK: dict[Stop, str] = {"shutdown": "the worker stopped", "lease": "the lease was lost"}


def origin(attempt: Attempt) -> bytes:
    """Return the members that the records of all attempts of one worker have in common."""
    worker = attempt.token.rpartition("-")[0]  # see `tokens`
    return members(worker=worker, host=socket.gethostname(), pid=os.getpid()) + b","


def note_attempt(attempt: Attempt, judged: Verdict, ended: float, origin: bytes, *, traces: bool) -> None:
    """Add the record of the attempt to an outcome that keeps the task. `traces`: with the traceback.

    An attempt whose handler was not called leaves no record: its payload could not be read, its type has no handler, it
    was cancelled before, or its deadline had passed.
    """
    outcome = judged.outcome
    if outcome is None or outcome.kind == "done" or not attempt.begun:
        return
    times = (int(attempt.started_at * 1000), int(ended * 1000))
    if outcome.kind == "complete":  # the usual case, and each microsecond counts there
        outcome.attempt = b'%s"started":%d,"ended":%d,"outcome":"succeeded"' % (origin, *times)
        return
    error = _HANDED_BACK.get(attempt.stop, "") if outcome.kind == "requeue" else outcome.text.decode(errors="replace")
    said = members(outcome=_how(judged), error=error, traceback=judged.trace if traces else "")
    outcome.attempt = b'%s"started":%d,"ended":%d,%s' % (origin, *times, said)


def _how(judged: Verdict) -> str:
    outcome = judged.outcome
    if outcome is None or outcome.kind == "complete":
        return "succeeded"
    if outcome.kind == "retry":
        return "put off" if isinstance(judged.error, RetryLater) else "failed"
    return outcome.ending or {"done": "succeeded", "requeue": "handed back"}.get(outcome.kind, "failed")
