"""Converts between Python's aware datetimes in UTC and the Unix times on the wire."""

from datetime import UTC, datetime, timedelta

from rota.errors import OptionError

# Go's zero time, 0001-01-01T00:00:00Z, which means "never". A missing Timestamp would be read as 1970 by Go.
GO_ZERO_S = -62135596800
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_SECOND = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
"""The last second of the year 9999 and of Python's calendar."""


def from_unix(seconds: float | None) -> datetime | None:
    """Convert Unix seconds; None for 0, which is Asynq's "never", and for a time outside Python's range."""
    if not seconds:
        return None
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def from_unix_ns(nanoseconds: int | None) -> datetime | None:
    """Convert Unix nanoseconds. Fractions of a microsecond are cut off."""
    if nanoseconds is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


def whole_seconds(duration: timedelta) -> int:
    """Round up to whole seconds, because half a second must not become 0, which means "none" on the wire."""
    return duration.days * 86400 + duration.seconds + (duration.microseconds > 0)


def whole_milliseconds(at: datetime) -> datetime:
    """Round up to whole milliseconds, as `time_score.lua` does with the times of waiting tasks."""
    try:
        return at + timedelta(microseconds=-at.microsecond % 1000)
    except OverflowError:  # the last millisecond of the year 9999
        return at


def unix_deadline(deadline: datetime) -> int:
    """Return the Unix second of a deadline, rounded down. The epoch itself becomes 1, because 0 means "none"."""
    if deadline.tzinfo is None:
        raise OptionError(f"The deadline {deadline} has no time zone: add one, as in datetime.now(UTC).")
    # `timestamp()` is not used: as a float the last moment of the year 9999 is rounded up into the year 10000.
    return min((deadline - EPOCH) // timedelta(seconds=1), LAST_SECOND) or 1
