"""Times between Python and the wire: aware datetimes in UTC on one side, whole seconds since 1970 on the other."""

from datetime import UTC, datetime, timedelta

from rota.errors import OptionError

# Go's zero time, 0001-01-01T00:00:00Z. A missing Timestamp would read as 1970 there, which is not "never".
GO_ZERO_S = -62135596800
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_SECOND = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
"""The last second of the year 9999 and of Python's calendar."""


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


def whole_seconds(duration: timedelta) -> int:
    """Round up to the wire's whole seconds: half a second must not become 0, which means "none"."""
    return duration.days * 86400 + duration.seconds + (duration.microseconds > 0)


def unix_deadline(deadline: datetime) -> int:
    """Return the Unix second of a deadline, fractions cut. The epoch itself becomes 1, because 0 means "none"."""
    if deadline.tzinfo is None:
        raise OptionError(f"The deadline {deadline} has no time zone: add one, as in datetime.now(UTC).")
    # Not by `timestamp()`: as a float the last second of the year 9999 is rounded up into the year 10000.
    return min((deadline - EPOCH) // timedelta(seconds=1), LAST_SECOND) or 1
