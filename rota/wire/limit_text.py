"""Error texts for an exceeded time limit: Asynq's, which Go programs compare with, and Rota's, which names the limit.

Asynq's text is stored with the task. Rota's text is used in the log, in hooks, and in the errors of `result()`.
"""

from datetime import UTC, datetime, timedelta

from rota.core.duration import display
from rota.wire.envelope import DEFAULT_TIMEOUT_S
from rota.wire.proto import TaskMessage
from rota.wire.times import GO_ZERO_S, LAST_SECOND

DEADLINE_TEXT = "context deadline exceeded"


def timeout_text(seconds: float) -> str:
    """Return the error text for an attempt that exceeded its timeout."""
    return f"{DEADLINE_TEXT}: the timeout of {display(timedelta(seconds=seconds))} is over"


def deadline_text(unix_seconds: float) -> str:
    """Return the error text for a task whose deadline has passed."""
    moment = datetime.fromtimestamp(max(GO_ZERO_S, min(unix_seconds, LAST_SECOND)), UTC)
    return f"{DEADLINE_TEXT}: the deadline {moment.replace(tzinfo=None).isoformat(' ', 'seconds')} UTC has passed"


def explained(message: TaskMessage, end: str) -> str:
    """Return the last error of a stored task; for an exceeded limit, a text that names the limit."""
    if message.error_msg != DEADLINE_TEXT:
        return message.error_msg
    if end == "expired" or (message.deadline and not message.timeout):
        return deadline_text(message.deadline)
    if message.timeout in (0, DEFAULT_TIMEOUT_S):
        # The task may have run with the time limit of its function, which only its worker knows.
        return f"{DEADLINE_TEXT}: the timeout of its function, or of 30m, is over"
    return timeout_text(message.timeout)
