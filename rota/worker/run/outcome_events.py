"""The events that tell how a run ended: one for its end, and more for an outcome that is not a plain success."""

from collections.abc import Iterator

from rota import events
from rota.core import tracebacks
from rota.core.text import unstopped
from rota.errors import RetryLater
from rota.worker.run.attempt import Attempt
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
    outcome = judged.outcome
    how = "succeeded"
    if outcome is not None and outcome.kind == "retry":
        how = "put off" if isinstance(judged.error, RetryLater) else "failed"
    elif outcome is not None and outcome.kind != "complete":
        how = outcome.ending or {"done": "succeeded", "requeue": "handed back"}.get(outcome.kind, "failed")
    return events.TaskEnded(
        **attempt.about, outcome=how, seconds=seconds, final=judged.exhausted, error=judged.error, log_level=log_level
    )
