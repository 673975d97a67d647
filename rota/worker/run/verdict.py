"""The verdict: decides from how a handler ended which outcome is recorded, by Asynq's rules and Rota's additions.

1. The handler returned: the task is kept with its result for its retention, or deleted.
2. It raised `Revoke`: the task is deleted without an error. `RetryLater`: it runs again after the given delay, which
   uses a retry or not.
3. The task was cancelled: it is archived as cancelled and not retried. The handler was stopped by a shutdown, or
   because the lease was lost: the task goes back to the front of its queue.
4. The deadline has passed: the task is archived as expired, because a retry would be even later.
5. Any other failure: the task is retried by its policy until its retries are used up, then archived.

This module does no I/O. Python may replace the error of a handler (`raised_by_handler`), and an error may be unreadable
because its own code raises (`unreadable`). In these cases another error is judged instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, TypedDict, Unpack

from rota import events
from rota.core import tracebacks
from rota.core.duration import parse
from rota.core.text import unstopped
from rota.errors import RetryLater, Revoke
from rota.tasks.handler import Event
from rota.tasks.policy import INSTRUCTIONS, LONGEST_DELAY_SECONDS, Retry, instruction, leaves
from rota.wire.limit_text import DEADLINE_TEXT, deadline_text, timeout_text
from rota.wire.message import with_completion, with_failure
from rota.wire.names import MAX_ERROR_BYTES, clean_text
from rota.wire.outcome import Ending, Kind, Outcome
from rota.worker.clock import BrokerClock
from rota.worker.run.attempt import Attempt

ASYNQ_DEFAULT_RETRY = 25
CANCEL_TEXT = "context canceled"
MOST_ERRORS = 5
"""The text of an exception group names at most this many of its errors."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome to record, and the error for the hooks. The outcome None is a plain success."""

    outcome: Outcome | None
    error: BaseException | None = None
    exhausted: bool = False
    fault: BaseException | None = None
    """An error that occurred while the retry was decided, for example in a retry policy of the user."""
    trace: str = ""
    """The traceback of the error; empty if it has none, or none that helps."""
    quiet: bool = False
    """Whether not to log this verdict, because `UnknownTypes` logs all such tasks together."""

    @property
    def event(self) -> Event:
        """The hooks to run after a failure."""
        return "exhausted" if self.exhausted else "failure"


SUCCESS = Verdict(None)


class OutcomeWords(TypedDict, total=False):
    """The optional fields of an outcome."""

    message: bytes
    seconds: float
    counts: bool
    text: bytes
    ending: Ending


def succeeded(attempt: Attempt, result: bytes, clock: BrokerClock) -> Verdict:
    """Judge a handler that returned. `result` is the encoded result to store; empty for none."""
    message = attempt.message
    if not (message.retention or message.unique_key or result):
        return SUCCESS
    if message.retention > 0:
        done = with_completion(message, int(clock.now()))
        return Verdict(_outcome(attempt, "complete", message=done, seconds=message.retention, text=result))
    return Verdict(_outcome(attempt, "done", text=result))


def stopped(attempt: Attempt, now: float, cancel: BaseException | None = None) -> Verdict:
    """Judge a handler that was stopped, by the reason of the stop. `cancel` has the traceback of the stop."""
    if attempt.stop in ("shutdown", "lease"):
        # If the lease was lost and another attempt has the task, the server refuses this outcome. If this attempt still
        # has the task, the handler has not failed, so no retry is used.
        return Verdict(_outcome(attempt, "requeue"))
    if attempt.stop == "cancelled":
        return cancelled(attempt, attempt.reason, now)
    if attempt.stop == "deadline":
        return expired(attempt, now, cancel)
    if attempt.stop == "timeout":
        return _with_limit(attempt, failed(attempt, _timeout(attempt, cancel), now, text=DEADLINE_TEXT))
    return failed(attempt, RuntimeError("the handler cancelled itself"), now, text=CANCEL_TEXT)


def too_late(attempt: Attempt) -> Verdict:
    """Hand back a task whose lease ran out before its handler began.

    The server refuses this outcome if another attempt has the task.
    """
    return Verdict(_outcome(attempt, "requeue"))


def cancelled(attempt: Attempt, reason: str, now: float) -> Verdict:
    """Archive a task that was cancelled."""
    text = f"cancelled: {reason}" if reason else "cancelled"
    return Verdict(_archived(attempt, text, now, ending="cancelled"))


def expired(attempt: Attempt, now: float, cancel: BaseException | None = None) -> Verdict:
    """Archive a task whose deadline has passed."""
    outcome = _archived(attempt, DEADLINE_TEXT, now, ending="expired")
    return _with_limit(attempt, Verdict(outcome, _timeout(attempt, cancel), exhausted=True))


def traced(judged: Verdict, now: float, most_bytes: int) -> Verdict:
    """Add the traceback of a failure to the verdict and its outcome. An instruction such as `RetryLater` gets none."""
    outcome, error = judged.outcome, judged.error
    if outcome is None or error is None or outcome.kind not in ("retry", "archive"):
        return judged
    if all(isinstance(each, INSTRUCTIONS) for each in leaves(error)):
        return judged
    if (trace := tracebacks.text_of(error)) and most_bytes:
        outcome.trace = b"%d\n%s" % (int(now), tracebacks.bounded(trace, most_bytes).encode())
    return replace(judged, trace=trace)


def left_to_others(attempt: Attempt) -> Verdict:
    """Hand back a task at once, because this worker has no handler for its type."""
    return Verdict(_outcome(attempt, "requeue", text=_bytes(_no_handler(attempt))), quiet=True)


def unhandled(attempt: Attempt, now: float, delay: timedelta) -> Verdict:
    """Put off a task without a handler that no other worker has taken. No retry is used."""
    return Verdict(_retried(attempt, _no_handler(attempt), now, delay, counts=False), quiet=True)


def undecodable(attempt: Attempt, error: Exception) -> Verdict:
    """Archive a task whose message cannot be read. The message is kept byte for byte."""
    return Verdict(_outcome(attempt, "archive", text=_bytes(str(error))), error, exhausted=True)


def failed(attempt: Attempt, error: BaseException, now: float, *, text: str | None = None) -> Verdict:
    """Judge a handler that raised. Returns a verdict even if code of the error or the retry policy raises."""
    text = describe(error) if text is None else text
    try:
        return _by_policy(attempt, error, now, text)
    except BaseException as fault:
        # Policies and errors contain code of the user, and RetryLater may have a delay that is not a duration. No such
        # error, not even a `sys.exit()`, may prevent the recording of the outcome.
        text = f"{text} (and how to retry it could not be decided: {describe(fault)})"
        delay = partial(Retry().next_delay, attempt.message.retried, error)
        return replace(_again(attempt, error, now, text, delay), fault=fault)


def _by_policy(attempt: Attempt, error: BaseException, now: float, text: str) -> Verdict:
    policy = attempt.handler.retry
    if policy.forbids(error):
        return Verdict(_archived(attempt, text, now), error, exhausted=True)
    asked = instruction(error)
    if isinstance(asked, Revoke):
        return Verdict(_outcome(attempt, "done", ending="revoked", text=_bytes(_said(asked))))
    if isinstance(asked, RetryLater):
        delay = min(parse(asked.delay, "the delay of RetryLater"), timedelta(seconds=LONGEST_DELAY_SECONDS))
        return _again(attempt, error, now, describe(asked), lambda: delay, counts=bool(asked.counts))
    if not policy.decides(error):
        return Verdict(_archived(attempt, text, now), error, exhausted=True)
    retried = attempt.message.retried
    counts = bool(policy.counts(error))
    return _again(attempt, error, now, text, lambda: policy.next_delay(retried, error), counts=counts)


def _again(
    attempt: Attempt,
    error: BaseException,
    now: float,
    text: str,
    delay: Callable[[], timedelta],
    *,
    counts: bool = True,
) -> Verdict:
    if counts and attempt.message.retried >= allowed_retries(attempt):
        return Verdict(_archived(attempt, text, now), error, exhausted=True)
    return Verdict(_retried(attempt, text, now, delay(), counts=counts), error)


def describe(error: BaseException) -> str:
    """Return the text of an error as it is stored and shown. For an exception group it includes the inner errors."""
    text = _one(error)
    inside = list(islice(leaves(error), MOST_ERRORS + 1))
    if len(inside) != 1 or inside[0] is not error:
        more = "; ..." if len(inside) > MOST_ERRORS else ""
        text += f": {'; '.join(map(_one, inside[:MOST_ERRORS]))}{more}"
    return text


def _one(error: BaseException) -> str:
    said = _said(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


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


def _timeout(attempt: Attempt, cancel: BaseException | None) -> TimeoutError:
    error = TimeoutError(limit_text(attempt))
    error.__cause__ = cancel
    return error


def limit_text(attempt: Attempt) -> str:
    """Return a text that says which limit has passed: that of the attempt, or the deadline of the task."""
    if attempt.stop == "timeout":
        return timeout_text(attempt.limit_seconds) if attempt.limit_seconds else DEADLINE_TEXT
    return deadline_text(attempt.message.deadline) if attempt.message.deadline else DEADLINE_TEXT


def _with_limit(attempt: Attempt, judged: Verdict) -> Verdict:
    """Add the limit to the text of the outcome, for the log and the client that waits for the result.

    The message, which Asynq's tools read, keeps Asynq's text.
    """
    if judged.outcome is not None:
        plain, full = _bytes(DEADLINE_TEXT), _bytes(limit_text(attempt))
        judged.outcome.text = judged.outcome.text.replace(plain, full, 1)
    return judged


def _no_handler(attempt: Attempt) -> str:
    return f'handler not found for task "{attempt.message.type}"'


def _said(error: BaseException) -> str:
    try:
        # Converted to a plain str, because a subclass may override any method. Cut, because a text of hundreds of
        # megabytes would be copied for each line that shows it. One character more than is stored is kept, so that a
        # later step can see that the text was cut.
        return str.__str__(str(error))[: MAX_ERROR_BYTES + 1]
    except BaseException:
        return "its text cannot be read"


def allowed_retries(attempt: Attempt) -> int:
    """Return how many retries the task may have."""
    if attempt.message.retry == ASYNQ_DEFAULT_RETRY and "max_retry" not in attempt.explicit:
        # Asynq's clients write 25 if the number of retries was not given, so the handler's own policy applies.
        return attempt.handler.retry.max
    return attempt.message.retry


def _retried(attempt: Attempt, text: str, now: float, delay: timedelta, *, counts: bool) -> Outcome:
    message = with_failure(attempt.message, text, int(now), counts)
    seconds = max(0.0, delay.total_seconds())
    return _outcome(attempt, "retry", message=message, seconds=seconds, counts=counts, text=_bytes(text))


def _archived(attempt: Attempt, text: str, now: float, *, ending: Ending = "") -> Outcome:
    message = with_failure(attempt.message, text, int(now), counts=False)
    return _outcome(attempt, "archive", message=message, text=_bytes(text), ending=ending)


def _bytes(text: str) -> bytes:
    # Cut as in the message, because a text above the server's limit of 512 MB could never be recorded.
    return clean_text(text).encode()


def _outcome(attempt: Attempt, kind: Kind, **rest: Unpack[OutcomeWords]) -> Outcome:
    return Outcome(attempt.id, attempt.token, kind, **rest)


_REPLACED_TEXT = "coroutine raised StopIteration"
# These descriptors are taken from the built-in classes, because the error's own class may override them and raise.
_NAME: Any = type.__dict__["__name__"]
_TRACEBACK: Any = BaseException.__dict__["__traceback__"]


def raised_by_handler(error: BaseException) -> BaseException:
    """Return the error that the handler raised: Python replaces a StopIteration of a coroutine by a RuntimeError."""
    if type(error) is RuntimeError and error.args == (_REPLACED_TEXT,) and isinstance(error.__cause__, StopIteration):
        return error.__cause__
    return error


def unreadable(error: BaseException, fault: BaseException) -> RuntimeError:
    """Return the error to judge instead of one whose own code raised `fault` when it was read."""
    made = RuntimeError(
        f"an error of the class {_NAME.__get__(type(error))}, which cannot be read: its own code raises "
        f"{_NAME.__get__(type(fault))}"
    )
    return made.with_traceback(_TRACEBACK.__get__(error))
