"""The times of an expression in words.

The values come from the masks of the fields. A step is said as an interval only if it is one across the hour and the
day as well: `*/15` is "every 15 minutes", but `*/7` names its minutes, because its last interval is shorter.

The steps, first come first served:

1. A few times are listed: "at 02:30 and 14:30".
2. A regular rhythm is said with its first and last time: "every 5 minutes from 09:00 to 17:55".
3. Anything else names the values of each field: "at minutes 0 and 30 of hours 9, 12 and 15".
"""

from collections.abc import Sequence
from itertools import pairwise

from rota.schedule.cron import CronExpression
from rota.schedule.cron_field import HOUR, MINUTE, SECOND
from rota.schedule.day_phrase import counted_form, joined, listed, values_of
from rota.schedule.phrases import Phrases

_MOST_TIMES = 6
_UNITS = ("second", "minute", "hour")
_SIZES = (60, 60, 24)


def clock(hour: int, minute: int, second: int = 0) -> str:
    """Return a time of day, with seconds only if it has some."""
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


class TimePhrase:
    """Says at which times of a day an expression matches. `decided` is whether its `H` have their values."""

    def __init__(self, rule: CronExpression, words: Phrases, decided: bool = True) -> None:
        self._words = words
        self._fields = rule.fields[SECOND], rule.fields[MINUTE], rule.fields[HOUR]
        self._values = [values_of(field, number) for number, field in enumerate(self._fields)]
        self._hashed = [not decided and any(part.kind == "hash" for part in field.parts) for field in self._fields]
        seconds, minutes, hours = self._values
        self.few = not any(self._hashed) and len(seconds) * len(minutes) * len(hours) <= _MOST_TIMES
        """Whether the phrase lists the times of a day."""
        self.whole_day = self._is_whole(HOUR)
        """Whether each hour of the day has some of the times, so that the phrase need not say `every day`."""

    def text(self) -> str:
        """Return the phrase."""
        if self.few:
            return self._words.at_times.format(times=self._times())
        return (None if any(self._hashed) else self._rhythm()) or self._values_of_each()

    def _times(self) -> str:
        seconds, minutes, hours = self._values
        return joined([clock(h, m, s) for h in hours for m in minutes for s in seconds], self._words)

    def _rhythm(self) -> str | None:
        """Return a regular rhythm; None if the times are not regular."""
        seconds, minutes, hours = self._values
        if len(seconds) == 1 and seconds != [0]:
            return None
        if seconds != [0]:
            return self._within_hours(SECOND, "second") if len(minutes) == _SIZES[MINUTE] else None
        if len(minutes) > 1:
            return self._within_hours(MINUTE, "minute")
        step = _regular(hours)
        if step is None:
            return None
        if len(hours) == _SIZES[HOUR]:
            return self._words.on_the_hour if minutes == [0] else None
        every = self._every(step, "hour")
        return self._from_to(every, clock(hours[0], minutes[0]), clock(hours[-1], minutes[0]))

    def _within_hours(self, number: int, unit: str) -> str | None:
        """Return the rhythm of seconds or minutes, in neighbouring hours."""
        values, (_, minutes, hours) = self._values[number], self._values
        step = _regular(values)
        through = step is not None and len(values) * step == _SIZES[number]  # also from one hour to the next
        if step is None or not (through or (number == MINUTE and len(hours) == 1)) or _regular(hours) != 1:
            return None
        every = self._every(step, unit)
        if len(hours) == _SIZES[HOUR]:
            if values[0] == 0:
                return every
            return self._words.offset.format(every=every, first=values[0]) if unit == "minute" else None
        second = self._values[SECOND]
        first, last = clock(hours[0], minutes[0], second[0]), clock(hours[-1], minutes[-1], second[-1])
        return self._from_to(every, first, last)

    def _from_to(self, every: str, first: str, last: str) -> str:
        return self._words.from_to.format(every=every, first=first, last=last)

    def _every(self, step: int, unit: str) -> str:
        if step == 1:
            return self._words.every_unit[unit]
        return self._words.every_count.format(count=self._words.units[unit][1].format(n=step))

    def _values_of_each(self) -> str:
        """Name the values of each field, from the finest one on."""
        finest = SECOND if self._values[SECOND] != [0] or self._hashed[SECOND] else MINUTE
        phrase = self._finest(finest)
        for number in range(finest + 1, HOUR + 1):
            unit = _UNITS[number]
            if number == HOUR and finest == SECOND and self._is_whole(MINUTE) and self._is_whole(HOUR):
                continue  # "of every minute" says it
            if self._is_whole(number):
                coarse = self._words.of_each[unit]
            else:
                coarse = counted_form(self._words.of_units[unit], self._values[number], self._list(number))
            if number == MINUTE and self._is_whole(MINUTE) and self._is_whole(SECOND):
                continue  # every second of every minute of an hour
            phrase = self._words.inside.format(fine=phrase, coarse=coarse)
        return phrase

    def _finest(self, number: int) -> str:
        unit = _UNITS[number]
        if self._is_whole(number):
            return self._words.every_unit[unit]
        return counted_form(self._words.at_units[unit], self._values[number], self._list(number))

    def _is_whole(self, number: int) -> bool:
        return not self._hashed[number] and len(self._values[number]) == _SIZES[number]

    def _list(self, number: int) -> str:
        return self._fields[number].text if self._hashed[number] else listed(self._values[number], self._words)


def _regular(values: Sequence[int]) -> int | None:
    """Return the distance between neighbours, 1 for a single value; None if the distances differ."""
    if len(values) == 1:
        return 1
    step = values[1] - values[0]
    return step if all(right - left == step for left, right in pairwise(values)) else None
