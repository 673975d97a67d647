"""The verdict: decides from how a handler ended which outcome is recorded, by Asynq's rules and Rota's additions.

1. The handler returned: the task is kept with its result for its retention, or deleted.
2. It raised `Revoke`: the task is deleted without an error. `RetryLater`: it runs again after the given delay, which
   uses a retry or not.
3. The task was cancelled: it is archived as cancelled and not retried. The handler was stopped by a shutdown, or
   because the lease was lost: the task goes back to the front of its queue.
4. The deadline has passed: the task is archived as expired, because a retry would be even later.
5. Any other failure: the task is retried by its policy until its retries are used up, then archived.

This module does no I/O.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple, TypedDict, Unpack

from rota.core import tracebacks
from rota.core.duration import parse
from rota.errors import INSTRUCTIONS, RetryLater, Revoke, instruction, leaves
from rota.tasks.handler import Event
from rota.tasks.policy import LONGEST_DELAY_SECONDS, Retry
from rota.wire.message import DEADLINE_TEXT, deadline_text, timeout_text, with_completion, with_failure
from rota.wire.names import clean_text
from rota.wire.outcome import Ending, Kind, Outcome
from rota.wire.proto import TaskMessage
from rota.worker.clock import BrokerClock
from rota.worker.run.attempt import Attempt, LeaseOver
from rota.worker.run.handler_errors import describe, message_of, raised_by_handler, unreadable

ASYNQ_DEFAULT_RETRY = 25
CANCEL_TEXT = "context canceled"


class Verdict(NamedTuple):
    """The outcome to record, and the error for the hooks. The outcome None is a plain success."""

    # A tuple, because creating a frozen dataclass takes three times as long, and each task that is kept creates one.

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


class DeadlinePassed(Exception):
    """The deadline of a task passed before its handler could begin."""


class OutcomeFields(TypedDict, total=False):
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
    if message.retention > 0:  # for Asynq too, a negative one keeps nothing
        done = with_completion(message, int(clock.now()), attempt.raw)
        return Verdict(Outcome(attempt.id, attempt.token, "complete", done, message.retention, text=result))
    return Verdict(_outcome(attempt, "done", text=result))


def raised(attempt: Attempt, error: BaseException, now: float) -> Verdict:
    """Judge a run that raised, by the class of its error and by whether its handler was stopped."""
    try:
        return _by_class(attempt, raised_by_handler(error), now)
    except BaseException as fault:
        # Even `isinstance` can run code of the error's class, which may raise. The task needs a verdict anyway.
        return _by_class(attempt, unreadable(error, fault), now)


def _by_class(attempt: Attempt, error: BaseException, now: float) -> Verdict:
    if isinstance(error, LeaseOver):  # first, because it is a CancelledError too
        return too_late(attempt)
    if isinstance(error, DeadlinePassed):
        return expired(attempt, now)
    # A stopped handler may raise another error while it cleans up. Only after a time limit or deadline it has failed.
    if isinstance(error, asyncio.CancelledError) or attempt.stop in ("shutdown", "cancelled", "lease"):
        return stopped(attempt, now, error)
    return failed(attempt, error, now)


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
    return judged._replace(trace=trace)


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
        return _again(attempt, error, now, text, delay)._replace(fault=fault)


def _by_policy(attempt: Attempt, error: BaseException, now: float, text: str) -> Verdict:
    policy = attempt.handler.retry
    if policy.forbids(error):
        return Verdict(_archived(attempt, text, now), error, exhausted=True)
    asked = instruction(error)
    if isinstance(asked, Revoke):
        return Verdict(_outcome(attempt, "done", ending="revoked", text=_bytes(message_of(asked))))
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


def allowed_retries(attempt: Attempt) -> int:
    """Return how many retries the task may have."""
    if attempt.message.retry == ASYNQ_DEFAULT_RETRY and "max_retry" not in attempt.explicit:
        # Asynq's clients write 25 if the number of retries was not given, so the handler's own policy applies.
        return attempt.handler.retry.max
    return attempt.message.retry


def as_it_counts(attempt: Attempt) -> TaskMessage:
    """Return the message with the retries that the task may have. A Go client writes 25 if it was given no number."""
    message = attempt.message
    allowed = allowed_retries(attempt)
    if allowed == message.retry:
        return message
    shown = TaskMessage()
    shown.CopyFrom(message)  # the message itself is written back as the client wrote it
    shown.retry = allowed
    return shown


def _retried(attempt: Attempt, text: str, now: float, delay: timedelta, *, counts: bool) -> Outcome:
    message = with_failure(attempt.message, text, int(now), counts)
    seconds = max(0.0, delay.total_seconds())  # negative only if a client wrote a negative number of retries
    return _outcome(attempt, "retry", message=message, seconds=seconds, counts=counts, text=_bytes(text))


def _archived(attempt: Attempt, text: str, now: float, *, ending: Ending = "") -> Outcome:
    message = with_failure(attempt.message, text, int(now), counts=False)
    return _outcome(attempt, "archive", message=message, text=_bytes(text), ending=ending)


def _bytes(text: str) -> bytes:
    # Cut as in the message, because a text above the server's limit of 512 MB could never be recorded.
    return clean_text(text).encode()


def _outcome(attempt: Attempt, kind: Kind, **rest: Unpack[OutcomeFields]) -> Outcome:
    return Outcome(attempt.id, attempt.token, kind, **rest)
