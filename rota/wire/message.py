"""The task message: typed values to bytes, and the changes it goes through on its way."""

from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from rota.core.text import counted
from rota.errors import PayloadError
from rota.wire.envelope import MAX_COUNT, Envelope
from rota.wire.names import clean_text
from rota.wire.proto import TaskMessage
from rota.wire.times import GO_ZERO_S

_NS = 1_000_000_000


def pack(type: str, payload: bytes, task_id: str, *, unique_key: str = "", **words: Any) -> bytes:
    """Return the bytes of a new task. The keywords are those of `Envelope`."""
    return Envelope(type, **words).seal(payload, task_id.encode(), unique_key.encode())


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
