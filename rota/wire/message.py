"""The task message: typed values to bytes, and the changes it goes through on its way."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from rota.errors import OptionError, PayloadError
from rota.sentences import counted
from rota.wire.proto import TaskMessage

DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRY = 25
DEFAULT_TIMEOUT_S = 1800
MAX_ERROR_BYTES = 8192
MAX_COUNT = 2**31 - 1

# Go's zero time, 0001-01-01T00:00:00Z. A missing Timestamp would read as 1970 there, which is not "never".
GO_ZERO_S = -62135596800
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_SECOND = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
"""The last second of the year 9999 and of Python's calendar."""
_NS = 1_000_000_000
_CUT = "…"


def pack(
    type: str,
    payload: bytes,
    task_id: str,
    *,
    queue: str = DEFAULT_QUEUE,
    max_retry: int = DEFAULT_MAX_RETRY,
    timeout: timedelta | None = None,
    deadline: datetime | None = None,
    unique_key: str = "",
    retention: timedelta | None = None,
    group: str = "",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of a new task.

    Without timeout and deadline the timeout is Asynq's 30 minutes. The wire knows whole seconds only: timeout
    and retention are rounded up, so that neither is ever shorter than asked. `deadline` must know its time zone.
    Raises `OptionError` for what no Go program could read or would misread.
    """
    if max_retry < 0:
        raise OptionError(f"max_retry is {max_retry}: give 0 for no retries, or a positive number.")
    try:
        message = TaskMessage(
            type=type,
            payload=payload,
            id=task_id,
            queue=queue,
            retry=max_retry,
            timeout=_timeout_s(timeout, deadline),
            unique_key=unique_key,
            group_key=group,
        )
        # Set only when given: an argument that is None costs as much as a value, and most tasks have none of these.
        if deadline is not None:
            message.deadline = unix_deadline(deadline)
        if retention is not None:
            message.retention = _retention_s(retention)
        if headers:
            message.headers.update(headers)
        return message.SerializeToString()
    except ValueError as error:  # a lone surrogate, or a number beyond its 32 or 64 bits
        raise _unpackable(error, type, task_id) from error


def unpack(data: bytes) -> TaskMessage:
    """Read a stored message; `PayloadError` if these bytes are none."""
    try:
        return TaskMessage.FromString(data)
    except DecodeError as error:
        raise PayloadError(
            f"This is not a task message ({counted(len(data), 'byte')}; {error}): some other program wrote to the "
            "task's hash."
        ) from error


def with_failure(message: TaskMessage, error_text: str, now_unix: int, counts: bool = True) -> bytes:
    """Return the bytes to store after a failed run; `counts=False` leaves the number of retries as it is."""
    changed = TaskMessage()
    changed.CopyFrom(message)
    changed.error_msg = clean_text(error_text)
    changed.last_failed_at = now_unix
    if counts:
        changed.retried = min(changed.retried + 1, MAX_COUNT)
    return changed.SerializeToString()


def with_completion(message: TaskMessage, now_unix: int) -> bytes:
    """Return the bytes to store for a task that succeeded and is retained."""
    changed = TaskMessage()
    changed.CopyFrom(message)
    changed.completed_at = now_unix
    return changed.SerializeToString()


def clean_text(text: str, max_bytes: int = MAX_ERROR_BYTES) -> str:
    """Make an error text storable: valid UTF-8, at most `max_bytes` long.

    Go refuses a message with invalid UTF-8, and a retry that cannot be encoded leaves the task active for ever.
    """
    if len(text) <= max_bytes and text.isascii():
        return text
    data = text.encode("utf-8", "replace")
    if len(data) > max_bytes:
        data = data[: max_bytes - len(_CUT.encode())] + _CUT.encode()
    return data.decode("utf-8", "ignore")


def whole_seconds(duration: timedelta) -> int:
    """Round up to the wire's whole seconds: half a second must not become 0, which means "none"."""
    return duration.days * 86400 + duration.seconds + (duration.microseconds > 0)


def unix_deadline(deadline: datetime) -> int:
    """Return the Unix second of a deadline, fractions cut. The epoch itself becomes 1, because 0 means "none"."""
    if deadline.tzinfo is None:
        raise OptionError(f"The deadline {deadline} has no time zone: add one, as in datetime.now(UTC).")
    # Not by `timestamp()`: as a float the last second of the year 9999 is rounded up into the year 10000.
    return min((deadline - EPOCH) // timedelta(seconds=1), LAST_SECOND) or 1


def to_timestamp(unix_ns: int | None) -> dict[str, int]:
    """Return the value for a Timestamp field; None is Go's zero time, written out.

    A mapping and not a `Timestamp`: that class belongs to the default pool, our messages to their own.
    """
    if unix_ns is None:
        return {"seconds": GO_ZERO_S}
    return {"seconds": unix_ns // _NS, "nanos": unix_ns % _NS}


def from_timestamp(stamp: Timestamp) -> int | None:
    """Return Unix nanoseconds, or None for Go's zero time."""
    return None if stamp.seconds == GO_ZERO_S else stamp.seconds * _NS + stamp.nanos


def _timeout_s(timeout: timedelta | None, deadline: datetime | None) -> int:
    if timeout is None:
        return DEFAULT_TIMEOUT_S if deadline is None else 0
    seconds = whole_seconds(timeout)
    if seconds <= 0:
        # Asynq stores it, and then takes 30 minutes or fails the task at once.
        raise OptionError(f"A timeout of {timeout} is not positive: leave it out, or give a far deadline for no limit.")
    return seconds


def _retention_s(retention: timedelta) -> int:
    seconds = whole_seconds(retention)
    if seconds < 0:
        raise OptionError(f"A retention of {retention} is negative: leave it out to keep nothing.")
    return seconds


def _unpackable(error: ValueError, type: str, task_id: str) -> ValueError:
    if isinstance(error, OptionError):
        return error
    return OptionError(
        f"The task {task_id!r} of type {type!r} does not fit Asynq's message ({error}): "
        "texts must be valid UTF-8, and counts must fit 32 bits."
    )
