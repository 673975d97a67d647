"""Writes the text of a schedule with methods: `every(2).weeks.on("mon").at("09:00", tz="Europe/Berlin")`.

The result is a string, the text of a spec in words, so that it can be given wherever a spec is: to `Cron.add`, to
`app.cron` and in a definition. The methods only write. `rota.schedule.spec` reads the text, and refuses it where it is
given.
"""

from datetime import time, timedelta
from typing import Any

from rota.core.duration import DurationLike, display, parse
from rota.errors import OptionError

_DAY = timedelta(days=1)


class Every(str):
    """The text of a spec that begins with `every`. Each method returns a longer one."""

    __slots__ = ("_days", "_zone")

    _days: int
    """The length of an interval of whole days; 0 for any other."""
    _zone: str

    def __new__(cls, text: str, *, days: int = 0, zone: str = "") -> "Every":
        """Make the text with its time zone before it."""
        made = super().__new__(cls, f"TZ={zone} {text}" if zone else text)
        made._days, made._zone = days, zone
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (self._words,), {"days": self._days, "zone": self._zone}

    @property
    def second(self) -> "Every":
        """Count seconds."""
        return self._then("second")

    @property
    def minute(self) -> "Every":
        """Count minutes."""
        return self._then("minute")

    @property
    def hour(self) -> "Every":
        """Count hours."""
        return self._then("hour")

    @property
    def day(self) -> "Every":
        """Count days. `at` comes next."""
        return self._then("day")

    @property
    def week(self) -> "Every":
        """Count weeks. `on` and `at` come next."""
        return self._then("week")

    @property
    def month(self) -> "Every":
        """Count months. `on` and `at` come next."""
        return self._then("month")

    @property
    def seconds(self) -> "Every":
        """Count seconds."""
        return self._then("seconds")

    @property
    def minutes(self) -> "Every":
        """Count minutes."""
        return self._then("minutes")

    @property
    def hours(self) -> "Every":
        """Count hours."""
        return self._then("hours")

    @property
    def days(self) -> "Every":
        """Count days. `at` comes next."""
        return self._then("days")

    @property
    def weeks(self) -> "Every":
        """Count weeks. `on` and `at` come next."""
        return self._then("weeks")

    @property
    def months(self) -> "Every":
        """Count months. `on` and `at` come next."""
        return self._then("months")

    @property
    def after_end(self) -> "Every":
        """Count the interval from the end of the last run."""
        return self._then("after end")

    def on(self, *days: str | int) -> "Every":
        """Name the days: `"mon"`, `"mon-fri"` of a week or window; `1`, `"last"`, `"mon#2"` of a month."""
        return self._then(f"on {','.join(map(str, days))}")

    def at(self, *times: str | time, tz: str | None = None) -> "Every":
        """Name the times of the day, such as `"09:00"`, and the time zone if it is not that of the schedule."""
        shown = f"at {','.join(map(_shown, times))}"
        if self._days:
            return Every(f"every {self._days} days {shown}", zone=tz or self._zone)
        return self._then(shown, tz)

    def between(self, start: str | time, end: str | time, *, tz: str | None = None) -> "Every":
        """Fire within these times of each day only, counted from the first one. Both times belong to it."""
        return self._then(f"from {_shown(start)} to {_shown(end)}", tz)

    @property
    def _words(self) -> str:
        return self.removeprefix(f"TZ={self._zone} ") if self._zone else str(self)

    def _then(self, words: str, zone: str | None = None) -> "Every":
        return Every(f"{self._words} {words}", zone=zone or self._zone)


def every(interval: int | DurationLike = 1) -> Every:
    """Start a spec: `every("10m")`, `every(3).days.at("06:00")`, `every().week.on("mon", "thu").at("09:00")`.

    A whole number counts the unit that follows. A duration (`"10m"` or a timedelta) is the interval itself.
    """
    if isinstance(interval, int) and not isinstance(interval, bool):
        return Every(f"every {interval}")
    if isinstance(interval, float):
        raise OptionError(
            f"every({interval!r}) has no unit: write every('{interval:g}s'), or a whole number and a unit."
        )
    length = parse(interval, "the interval of every()")
    return Every(f"every {display(length)}", days=0 if length % _DAY else length // _DAY)


def _shown(moment: str | time) -> str:
    if isinstance(moment, str):
        return moment
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
