"""Times of the wire as Python's: aware, in UTC; None where the wire says "never"."""

from datetime import datetime, timedelta

from rota.wire.message import EPOCH


def from_unix(seconds: float | None) -> datetime | None:
    """Read Unix seconds; 0 is Asynq's "never", and so is a time that no calendar holds."""
    if not seconds:
        return None
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def from_unix_ns(nanoseconds: int | None) -> datetime | None:
    """Read Unix nanoseconds; what is below a microsecond is cut off."""
    if nanoseconds is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None
