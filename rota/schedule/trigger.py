"""Triggers: what says when a schedule fires next. `rota.schedule.spec.parse_spec` makes them from text.

Instants go in as any aware datetime and come out in UTC. The instants of one trigger
rise strictly: `next` never returns the instant that it was given, nor the same instant twice.

An interval (`@every 168h`, `every 2 weeks on mon at 09:00`) counts from an anchor: `trigger.anchored(moment)` returns
the same trigger, counted from that moment. Without an anchor it counts from the start of 1970, so that every process
finds the same instants, whenever it was started.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeAlias

from rota.errors import OptionError
from rota.schedule.cron import CronExpression
from rota.schedule.cycle import Cycle, DailyWindow
from rota.schedule.robfig_search import robfig_next
from rota.schedule.search import Occurrence, following, preceding

Rule: TypeAlias = CronExpression | Cycle | DailyWindow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Trigger(ABC):
    """Says when a schedule fires."""

    __slots__ = ()

    text: str
    """The text that the trigger was made from."""

    @property
    def after_end(self) -> bool:
        """Whether the time counts from the end of the last run. Then `next` takes that end."""
        return False

    @property
    def needs_anchor(self) -> bool:
        """Whether the instants depend on the moment that is given to `anchored`."""
        return False

    def anchored(self, moment: datetime) -> "Trigger":
        """Return this trigger counted from a moment: the last fire of the schedule, or its start."""
        return self._anchored(_aware(moment)) if self.needs_anchor else self

    def next(self, after: datetime) -> datetime | None:
        """Return the first instant strictly after another one; None if there is none."""
        found = self.occurrence(after)
        return None if found is None else found.at

    def previous(self, before: datetime) -> datetime | None:
        """Return the last instant strictly before another one; None if there is none."""
        try:
            found = self._previous(_aware(before))
        except OverflowError:  # the first days of the year 1
            return None
        if found is not None and found >= before:
            raise self._out_of_order(found, before, "earlier")
        return found

    def occurrence(self, after: datetime) -> Occurrence | None:
        """Return what `next` returns, with a note of what a clock change made of it."""
        try:
            found = self._occurrence(_aware(after))
        except OverflowError:  # the last days of the year 9999
            return None
        if found is not None and found.at <= after:
            raise self._out_of_order(found.at, after, "later")
        return found

    def _out_of_order(self, found: datetime, given: datetime, wanted: str) -> OptionError:
        """Return the error for a trigger of a user that does not move on: the search for its times would not end."""
        return OptionError(f"The trigger {self.text!r} returned {found} for {given}: its time has to be {wanted}.")

    def _anchored(self, moment: datetime) -> "Trigger":
        return self

    @abstractmethod
    def _occurrence(self, after: datetime) -> Occurrence | None: ...

    @abstractmethod
    def _previous(self, before: datetime) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class WallTrigger(Trigger):
    """Fires at the days and times of a rule, as the clocks of a time zone show them."""

    text: str
    rule: Rule
    zone: tzinfo
    through_gap: bool
    """Whether a time that does not exist on a day fires after the gap."""
    both_passes: bool
    """Whether a time that comes twice on a day fires twice."""

    @property
    def needs_anchor(self) -> bool:
        """Whether the rule counts days, weeks or months."""
        return isinstance(self.rule, Cycle) and self.rule.count > 1

    def _anchored(self, moment: datetime) -> "WallTrigger":
        if not isinstance(self.rule, Cycle):
            return self
        return replace(self, rule=self.rule.anchored(moment.astimezone(self.zone).date()))

    def _occurrence(self, after: datetime) -> Occurrence | None:
        return following(self.rule, self.zone, after, through_gap=self.through_gap, both_passes=self.both_passes)

    def _previous(self, before: datetime) -> datetime | None:
        return preceding(self.rule, self.zone, before, through_gap=self.through_gap, both_passes=self.both_passes)


@dataclass(frozen=True, slots=True)
class RobfigTrigger(Trigger):
    """Fires when Asynq's scheduler does. `previous` is the last instant at which the clock showed a matching time."""

    text: str
    rule: CronExpression
    zone: tzinfo

    def _occurrence(self, after: datetime) -> Occurrence | None:
        found = robfig_next(self.rule, self.zone, after)
        if found is None:
            return None
        return Occurrence(found, "repeated" if found.astimezone(self.zone).fold else "normal")

    def _previous(self, before: datetime) -> datetime | None:
        return preceding(self.rule, self.zone, before, through_gap=False, both_passes=True)


@dataclass(frozen=True, slots=True)
class IntervalTrigger(Trigger):
    """Fires at `anchor` and at every multiple of `every` before and after it."""

    text: str
    every: timedelta
    anchor: datetime = _EPOCH

    @property
    def needs_anchor(self) -> bool:
        """True."""
        return True

    def _anchored(self, moment: datetime) -> "IntervalTrigger":
        return replace(self, anchor=moment)

    def _occurrence(self, after: datetime) -> Occurrence | None:
        return Occurrence(self.anchor + self.every * ((after - self.anchor) // self.every + 1))

    def _previous(self, before: datetime) -> datetime | None:
        return self.anchor - self.every * ((self.anchor - before) // self.every + 1)


@dataclass(frozen=True, slots=True)
class DelayTrigger(Trigger):
    """Fires `delay` after the moment that `next` is given.

    With `from_end`, this is the end of the last run. Without it, the trigger is Asynq's `@every`: it counts from the
    moment at which the scheduler wakes up, in whole seconds.
    """

    text: str
    delay: timedelta
    from_end: bool

    @property
    def after_end(self) -> bool:
        """Whether the delay counts from the end of the last run."""
        return self.from_end

    def _occurrence(self, after: datetime) -> Occurrence | None:
        return Occurrence(self._start(after) + self.delay)

    def _previous(self, before: datetime) -> datetime | None:
        return self._start(before) - self.delay

    def _start(self, moment: datetime) -> datetime:
        return moment if self.from_end else moment.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class OnceTrigger(Trigger):
    """Fires at one instant."""

    text: str
    at: datetime

    def _occurrence(self, after: datetime) -> Occurrence | None:
        return Occurrence(self.at) if after < self.at else None

    def _previous(self, before: datetime) -> datetime | None:
        return self.at if before > self.at else None


@dataclass(frozen=True, slots=True)
class UnionTrigger(Trigger):
    """Fires when any of its triggers does. An instant at which several fire is one instant."""

    text: str
    triggers: tuple[Trigger, ...]

    @property
    def after_end(self) -> bool:
        """Whether one of the triggers counts from the end of the last run."""
        return any(trigger.after_end for trigger in self.triggers)

    @property
    def needs_anchor(self) -> bool:
        """Whether one of the triggers depends on an anchor."""
        return any(trigger.needs_anchor for trigger in self.triggers)

    def _anchored(self, moment: datetime) -> "UnionTrigger":
        return replace(self, triggers=tuple(trigger.anchored(moment) for trigger in self.triggers))

    def _occurrence(self, after: datetime) -> Occurrence | None:
        found = [each for trigger in self.triggers if (each := trigger.occurrence(after)) is not None]
        if not found:
            return None
        first = min(found)
        together = {each.note for each in found if each.at == first.at}
        return first if len(together) == 1 else Occurrence(first.at, "merged")

    def _previous(self, before: datetime) -> datetime | None:
        return max((found for trigger in self.triggers if (found := trigger.previous(before))), default=None)


def union(triggers: Sequence[Trigger], text: str = "") -> Trigger:
    """Return the trigger that fires when any of these does."""
    if len(triggers) == 1:
        return triggers[0]
    return UnionTrigger(text or "; ".join(trigger.text for trigger in triggers), tuple(triggers))


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:  # Python would take it for the local time of this machine
        raise OptionError(f"The time {moment} has no time zone: write for example datetime.now(UTC).")
    return moment.astimezone(UTC)
