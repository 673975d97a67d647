"""The days of an expression in words.

The phrase says what `CronExpression.days` computes: two restricted day fields are a union, and a field that selects all
of its values restricts nothing. The values come from the masks, not from the text, so that any way to write the same
days has the same words.
"""

from collections.abc import Sequence

from rota.schedule.cron import CronExpression
from rota.schedule.cron_field import DAY, MONTH, RANGES, WEEKDAY, CronField, CronPart
from rota.schedule.phrases import Phrases

_RUN = 3
"""From this many neighbours on, values are said as a range."""
_MOST_LISTED = 10


def values_of(field: CronField, number: int) -> list[int]:
    """Return the values that the mask of a field selects."""
    limits = RANGES[number]
    return [value for value in range(limits.low, limits.high + 1) if field.mask >> value & 1]


def joined(items: Sequence[str], words: Phrases) -> str:
    """Return a list in words: `a, b and c`."""
    return words.last_comma.join(filter(None, (words.comma.join(items[:-1]), items[-1])))


def listed(values: Sequence[int], words: Phrases, names: Sequence[str] = ()) -> str:
    """Return values in words. Neighbours are a range, and many values with one distance a range with steps."""
    shown = [names[value] if names else str(value) for value in values]
    step = values[1] - values[0] if len(values) > 1 else 1
    if step > 1 and len(values) > _MOST_LISTED and set(values) == set(range(values[0], values[-1] + 1, step)):
        return words.in_steps.format(first=shown[0], last=shown[-1], step=step)
    items: list[str] = []
    start = 0
    for end in range(1, len(values) + 1):
        if end < len(values) and values[end] == values[end - 1] + 1:
            continue
        if end - start >= _RUN:
            items.append(words.span.format(first=shown[start], last=shown[end - 1]))
        else:
            items += shown[start:end]
        start = end
    return joined(items, words)


def counted_form(pair: tuple[str, str], values: Sequence[int], text: str) -> str:
    """Return the form for one value or for several."""
    return pair[len(values) > 1].format(values=text)


class DayPhrase:
    """Says on which days and in which months an expression matches. `decided` is whether its `H` have their values."""

    def __init__(self, rule: CronExpression, words: Phrases, decided: bool = True) -> None:
        self._words = words
        self._decided = decided
        self._day, self._month, self._weekday = rule.fields[DAY], rule.fields[MONTH], rule.fields[WEEKDAY]

    @property
    def is_every_day(self) -> bool:
        """Whether the days restrict nothing."""
        return self._months() is None and not (self._restricted_days() or self._restricted_weekdays())

    def text(self, *, within: bool = False) -> str:
        """Return the phrase. `within` leaves out "every" and "of every month", because a cycle says how often."""
        words, months = self._words, self._months()
        of_month = [
            *(self._days_of_month() if self._restricted_days() else ()),
            *(self._special_weekdays() if self._restricted_weekdays() else ()),
        ]
        weekdays = self._plain_weekdays() if self._restricted_weekdays() else ""
        parts: list[str] = []
        if of_month:
            days = joined(of_month, words)
            on = words.within if within else words.on_days if months is None else words.on_days_in[self._in_several()]
            parts.append(on.format(days=days, months=months))
        if weekdays:
            parts.append(
                self._in_months(words.within.format(days=weekdays) if within else self._every(weekdays), months)
            )
        if not parts:
            return self._in_months(words.every_day, months)
        return parts[0] if len(parts) == 1 else words.both.format(first=parts[0], second=parts[1])

    def _restricted_days(self) -> bool:
        return not (self._day.star or self._whole(DAY) or (self._whole(WEEKDAY) and not self._weekday.star))

    def _restricted_weekdays(self) -> bool:
        return not (self._weekday.star or self._whole(WEEKDAY) or (self._whole(DAY) and not self._day.star))

    def _whole(self, number: int) -> bool:
        field = self._day if number == DAY else self._weekday
        return len(values_of(field, number)) == RANGES[number].high - RANGES[number].low + 1

    def _months(self) -> str | None:
        words, values = self._words, values_of(self._month, MONTH)
        if self._hashed(self._month):
            return words.hashed_month.format(text=self._month.text)
        return None if len(values) == len(words.months) else listed(values, words, ("", *words.months))

    def _in_several(self) -> bool:
        return len(values_of(self._month, MONTH)) > 1

    def _every(self, weekdays: str) -> str:
        if self._hashed(self._weekday):
            return self._words.hashed_weekday.format(text=weekdays)
        return self._words.every_weekdays.format(days=weekdays)

    def _in_months(self, days: str, months: str | None) -> str:
        return days if months is None else self._words.in_months.format(days=days, months=months)

    def _days_of_month(self) -> list[str]:
        items: list[str] = []
        if self._hashed(self._day):
            items.append(self._one_day(self._day.text))
        elif values := values_of(self._day, DAY):
            names = [self._words.day.format(n=number) for number in range(RANGES[DAY].high + 1)]
            items.append(counted_form(self._words.days, values, listed(values, self._words, names)))
        return items + [self._special_day(part) for part in self._day.parts if part.kind in ("last", "nearest_weekday")]

    def _special_day(self, part: CronPart) -> str:
        words = self._words
        if part.kind == "last":
            return self._before_last(part.start)
        if part.start == 0:
            return words.last_working_weekday
        day = (
            self._before_last(-part.start)
            if part.start < 0
            else words.days[0].format(values=words.day.format(n=part.start))
        )
        return words.nearest_weekday.format(day=day)

    def _one_day(self, day: object) -> str:
        return self._words.days[0].format(values=self._words.day.format(n=day))

    def _before_last(self, back: int) -> str:
        return self._words.before_last_day[back > 1].format(n=back) if back else self._words.last_day

    def _special_weekdays(self) -> list[str]:
        words = self._words
        items: list[str] = []
        for part in self._weekday.parts:
            if part.kind == "nth":
                nth = words.ordinals[part.end - 1]
                items.append(words.nth_weekday.format(nth=nth, weekday=words.weekdays[part.start]))
            elif part.kind == "last_of_weekday":
                items.append(words.last_of_weekday.format(weekday=words.weekdays[part.start]))
        return items

    def _plain_weekdays(self) -> str:
        if self._hashed(self._weekday):
            return self._weekday.text
        values = values_of(self._weekday, WEEKDAY)
        names = (*self._words.weekdays, self._words.weekdays[0])
        if values[:1] == [0] and len(values) > 1:  # a week ends with Sunday, so that `sat,sun` is a neighbourhood
            values = [*values[1:], len(self._words.weekdays)]
        return listed(values, self._words, names) if values else ""

    def _hashed(self, field: CronField) -> bool:
        return not self._decided and any(part.kind == "hash" for part in field.parts)
