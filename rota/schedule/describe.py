"""Says in words when a schedule fires: `describe("30 2 * * *")` is "at 02:30 every day", in Chinese "每天 02:30".

The description is made from what the reader of the text found, and not from the text, so that it cannot say anything
else than what happens. It names the time zone if the text does. The words are in `rota.schedule.phrases`; `day_phrase`
and `time_phrase` say the days and the times of cron expressions, and this module all other forms and the whole.

`H` has its value only together with the ID of a schedule. A description of a text without `seed` says so; one of a
trigger, or with `seed`, names the value.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from rota.core.text import did_you_mean
from rota.errors import OptionError
from rota.schedule.cron import CronExpression, Dialect
from rota.schedule.cycle import Cycle, DailyWindow
from rota.schedule.day_phrase import DayPhrase, joined
from rota.schedule.phrases import LANGUAGES, Phrases
from rota.schedule.spec import parse_spec
from rota.schedule.time_phrase import TimePhrase, clock
from rota.schedule.trigger import (
    DelayTrigger,
    IntervalTrigger,
    OnceTrigger,
    RobfigTrigger,
    Trigger,
    UnionTrigger,
    WallTrigger,
)

_LENGTHS = (
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
    ("millisecond", timedelta(milliseconds=1)),
)
_SECOND = timedelta(seconds=1)
_TWO_DAYS = timedelta(days=2)


def describe(
    spec: str | Trigger | Sequence[str | Trigger],
    language: str = "en",
    *,
    timezone: str | tzinfo = "UTC",
    dialect: Dialect = "rota",
    seed: str = "",
) -> str:
    """Say in words when a schedule fires. `language` is `"en"` or `"zh"`, also as `"zh-CN"`.

    Several specs are described as their union. `timezone`, `dialect` and `seed` are those of the reader of a text; see
    `parse_spec`. Raises ScheduleError for a text that is refused.
    """
    words = _phrases(language)
    specs = [spec] if isinstance(spec, str | Trigger) else spec
    texts: list[str] = []
    for each in specs:
        if isinstance(each, Trigger):
            texts.append(_Description(words, decided=True).of(each))
        else:
            trigger = parse_spec(each, timezone=timezone, dialect=dialect, seed=seed)
            texts.append(_Description(words, decided=bool(seed)).of(trigger))
    return words.tidy(words.union.join(dict.fromkeys(texts)))


def _phrases(language: str) -> Phrases:
    found = LANGUAGES.get(language.replace("_", "-").partition("-")[0].lower())
    if found is None:
        raise OptionError(f"There is no description in {language!r}. {did_you_mean(language, LANGUAGES)}")
    return found


class _Description:
    """Describes the triggers of one text."""

    def __init__(self, words: Phrases, *, decided: bool) -> None:
        self._words = words
        self._decided = decided

    def of(self, trigger: Trigger) -> str:
        if isinstance(trigger, UnionTrigger) and not _is_overnight(trigger):
            return self._words.union.join(dict.fromkeys(self.of(each) for each in trigger.triggers))
        first = trigger.triggers[0] if isinstance(trigger, UnionTrigger) else trigger
        text = self._plain(first)
        if not self._decided and isinstance(first, WallTrigger) and _has_hash(first.rule):
            text = self._words.hashed.format(text=text)
        zone = _zone_in(trigger.text)
        return self._words.zone.format(text=text, zone=zone) if zone else text

    def _plain(self, trigger: Trigger) -> str:
        if isinstance(trigger, IntervalTrigger):
            return self._every(trigger.every)
        if isinstance(trigger, DelayTrigger):
            if trigger.from_end:
                return self._words.after_end.format(length=self._length(trigger.delay))
            return self._every(trigger.delay)
        if isinstance(trigger, OnceTrigger):
            return self._words.once.format(moment=_moment(trigger))
        if isinstance(trigger, WallTrigger | RobfigTrigger):
            return self._rule(trigger.rule)
        raise OptionError(f"{type(trigger).__name__} has no description: it is a trigger of your own.")

    def _rule(self, rule: CronExpression | Cycle | DailyWindow) -> str:
        if isinstance(rule, Cycle):
            return self._cycle(rule)
        if isinstance(rule, DailyWindow):
            return self._window(rule)
        times, days = TimePhrase(rule, self._words, self._decided), DayPhrase(rule, self._words, self._decided)
        if times.whole_day and not times.few and days.is_every_day:
            return times.text()
        return self._on_days(times.text(), days, few=times.few)

    def _cycle(self, rule: Cycle) -> str:
        words = self._words
        times = words.at_times.format(times=joined([_time(each) for each in rule.times], words))
        days = DayPhrase(rule.on, words)
        if rule.count == 1:
            return words.times_on_days.format(times=times, days=days.text())
        count = words.units[rule.unit][1].format(n=rule.count)
        if days.is_every_day:
            return words.cycle.format(count=count, times=times)
        return words.cycle_on_days.format(count=count, days=days.text(within=True), times=times)

    def _window(self, rule: DailyWindow) -> str:
        words = self._words
        last = _time(rule.end)
        every = self._every(_SECOND * rule.step)
        if rule.overnight:
            last = words.next_day.format(time=last)
        times = words.from_to.format(every=every, first=_time(rule.start), last=last)
        days = DayPhrase(rule.on, words)
        return self._on_days(times, days, few=False)

    def _on_days(self, times: str, days: DayPhrase, *, few: bool) -> str:
        words = self._words
        repeats = words.repeats_every_day if days.is_every_day else words.repeats_on_days
        return (words.times_on_days if few else repeats).format(times=times, days=days.text())

    def _every(self, length: timedelta) -> str:
        for unit, size in _LENGTHS:
            if length == size:
                return self._words.every_unit[unit]
        return self._words.interval.format(length=self._length(length))

    def _length(self, length: timedelta) -> str:
        """Return a duration in words. It is in hours also if it is long, because a day may have 23 or 25 hours."""
        parts: list[str] = []
        rest = length
        for unit, size in _LENGTHS:
            count, rest = divmod(rest, size)
            if count:
                parts.append(self._words.units[unit][count > 1].format(n=count))
        text = " ".join(parts)
        days, more = divmod(length, timedelta(days=1))
        if length >= _TWO_DAYS and not more:
            text = self._words.hours_in_days.format(hours=text, days=self._words.units["day"][1].format(n=days))
        return text


def _is_overnight(trigger: UnionTrigger) -> bool:
    """Whether the triggers are the two parts of one window that goes on after midnight."""
    return all(
        isinstance(each, WallTrigger) and isinstance(each.rule, DailyWindow) and each.text == trigger.text
        for each in trigger.triggers
    )


def _has_hash(rule: CronExpression | Cycle | DailyWindow) -> bool:
    return isinstance(rule, CronExpression) and any(
        part.kind == "hash" for field in rule.fields for part in field.parts
    )


def _zone_in(text: str) -> str:
    """Return the time zone that a text begins with; empty if it has none."""
    first = text.split(maxsplit=1)[0]
    name, sign, zone = first.partition("=")
    return zone if sign and name in ("TZ", "CRON_TZ") else ""


def _moment(trigger: OnceTrigger) -> str:
    """Return the moment as the text has it, because the trigger keeps it in UTC."""
    words = trigger.text.split()
    written = " ".join(words[words.index(next(word for word in words if word.lower() == "at")) + 1 :])
    moment = datetime.fromisoformat(written)
    shown = f"{moment:%Y-%m-%d} {clock(moment.hour, moment.minute, moment.second)}"
    return shown if moment.tzinfo is None else f"{shown} {moment:%Z}"


def _time(seconds: int) -> str:
    return clock(seconds // 3600, seconds % 3600 // 60, seconds % 60)
