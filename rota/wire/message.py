"""The protobuf message of a task: encoding, decoding, the changes after an attempt, and the texts of time limits.

For an exceeded time limit there are two texts. Asynq's text, which Go programs compare with, is stored with the task.
Rota's text, which names the limit, is used in the log, in hooks, and in the errors of `result()`.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from rota.core.duration import display
from rota.core.text import counted
from rota.errors import PayloadError
from rota.wire.enqueue import DEFAULT_TIMEOUT_S, MAX_COUNT, Envelope
from rota.wire.names import clean_text
from rota.wire.proto import TaskMessage
from rota.wire.times import GO_ZERO_S, LAST_SECOND

_NS = 1_000_000_000


def pack(type: str, payload: bytes, task_id: str, *, unique_key: str = "", **words: Any) -> bytes:
    """Return the message of a new task. The keywords are those of `Envelope`."""
    return Envelope(type, **words).seal(payload, task_id.encode(), unique_key.encode())


def unpack(data: bytes) -> TaskMessage:
    """Decode a stored message. Raises `PayloadError` if the bytes are not a message."""
    try:
        return TaskMessage.FromString(data)
    except DecodeError as error:
        raise PayloadError(
            f"This is not a task message ({counted(len(data), 'byte')}; {error}): some other program wrote to the "
            "task's hash."
        ) from error


def with_failure(message: TaskMessage, error_text: str, now_unix: int, counts: bool = True) -> bytes:
    """Return the message to store after a failed attempt. `counts=False` does not change the number of retries."""
    changed = TaskMessage()
    changed.CopyFrom(message)
    changed.error_msg = clean_text(error_text)
    changed.last_failed_at = now_unix
    if counts:
        changed.retried = min(changed.retried + 1, MAX_COUNT)
    return changed.SerializeToString()


def with_completion(message: TaskMessage, now_unix: int, raw: bytes = b"") -> bytes:
    """Return the message to store for a completed task with retention. `raw` is the message as it was fetched."""
    if raw and not (message.completed_at or message.group_key or message.headers):
        return raw + _completed_at(now_unix)  # the last field in Go's order too, so the message need not be encoded
    changed = TaskMessage()
    changed.CopyFrom(message)
    changed.completed_at = now_unix
    return changed.SerializeToString()


@lru_cache(maxsize=4)  # many tasks are completed in the same second
def _completed_at(now_unix: int) -> bytes:
    return TaskMessage(completed_at=now_unix).SerializeToString()


def to_timestamp(unix_ns: int | None) -> dict[str, int]:
    """Return the value for a Timestamp field. None becomes Go's zero time, because a missing field would read as 1970.

    Returns a mapping because the class `Timestamp` is in protobuf's default pool, and our messages are in their own.
    """
    if unix_ns is None:
        return {"seconds": GO_ZERO_S}
    return {"seconds": unix_ns // _NS, "nanos": unix_ns % _NS}


def from_timestamp(stamp: Timestamp) -> int | None:
    """Return Unix nanoseconds, or None for Go's zero time."""
    return None if stamp.seconds == GO_ZERO_S else stamp.seconds * _NS + stamp.nanos


DEADLINE_TEXT = "context deadline exceeded"


def timeout_text(seconds: float) -> str:
    """Return the error text for an attempt that exceeded its timeout."""
    limit = timedelta(seconds=max(-LAST_SECOND, min(seconds, LAST_SECOND)))  # another program may write any number
    return f"{DEADLINE_TEXT}: the timeout of {display(limit)} is over"


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
