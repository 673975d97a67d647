"""Decides which planned times of a schedule fire now, which are skipped and why, and when to look again.

`decide` is pure. It gets the timetable, what is stored about the schedule, and the present time, and decides every
planned time after `state.last` up to now:

1. A time before `pause_until`, or while all schedules are held, is skipped.
2. A time on a day off is skipped, and one that a user asked to skip.
3. A time that is later than `start_deadline` is skipped.
4. A time is *missed* if it should have fired more than `ON_TIME` ago, because then nothing ran. Of the missed times the
   newest ones run, as many as `missed` allows; with `once` none of them runs if a time is due right now, which stands
   for them. After `ends_at` no missed time runs. With a jitter that is longer than the interval, a time waits for the
   earlier ones, because planned times fire in their order; this wait does not make it late.
5. All others fire, the earliest first, until `max_runs` is reached.

Each planned time is decided once, whatever the moments of the calls: the caller stores `decided_until`, and passes it
as `last` to the next call. If the clock jumps back, nothing fires until it has passed `last` again.

The times of a schedule hold from `since` on. `adopted` moves `since` when they change, so that an edit of the specs or
the time zone, or enabling a schedule, does not make times of the past due.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

from rota.schedule.definition import ScheduleDefinition
from rota.schedule.run import Cause, SkipReason
from rota.schedule.timetable import Timetable

ON_TIME = timedelta(seconds=10)
"""A fire with a shorter delay is on time. A new leader takes over within 5 s, and a busy process may stall."""
COUNTED = 100
"""A skip counts its planned times up to this number. Then its range tells more than its count."""

_SMALLEST = timedelta(microseconds=1)
_FOR_ALL_EARLIER = frozenset({"hold", "paused", "deleted", "start_deadline", "missed", "ends_at"})
"""Reasons that hold for all planned times before one that they hold for."""
_TIMING = (
    "kind",
    "specs",
    "timezone",
    "process_in",
    "process_at",
    "skipped_hour",
    "repeated_hour",
    "starts_at",
    "ends_at",
    "calendar",
    "on_day_off",
    "enabled",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """The facts about a schedule that are stored between two decisions.

    `since` is the moment from which its present times hold, and `timing` a fingerprint of the fields that make them.
    All planned times up to `last` are decided. `runs` counts the runs that fired. `is_open` is whether a run is not
    over, and `ended_at` the end of the last one; both matter to a delay after the end of a run. `skips` are planned
    times that a user asked to skip. `held` is whether all schedules are stopped.
    """

    since: datetime
    timing: str = ""
    last: datetime | None = None
    runs: int = 0
    is_open: bool = False
    ended_at: datetime | None = None
    skips: frozenset[datetime] = frozenset()
    held: bool = False


@dataclass(frozen=True, slots=True)
class Fire:
    """A planned time that fires now."""

    planned_at: datetime
    cause: Cause


@dataclass(frozen=True, slots=True)
class Skip:
    """Planned times in a row that do not fire. A `count` of `COUNTED` means that there may be more."""

    first: datetime
    last: datetime
    count: int
    reason: SkipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision about the planned times up to now.

    `next_due` is when to decide again. None means: not before the schedule is edited, or a run of it ends. `is_done` is
    whether the schedule never fires again. `clock_is_behind` is whether planned times after now are decided already,
    because the clock was ahead at that time.
    """

    fires: tuple[Fire, ...] = ()
    skips: tuple[Skip, ...] = ()
    decided_until: datetime
    next_due: datetime | None = None
    is_done: bool = False
    clock_is_behind: bool = False


def timing(definition: ScheduleDefinition) -> str:
    """Return a fingerprint of the fields that make the planned times."""
    written = definition.to_mapping()
    fields = {name: written[name] for name in _TIMING if name in written}
    return blake2b(json.dumps(fields, sort_keys=True).encode(), digest_size=8).hexdigest()


def adopted(state: ScheduleState | None, definition: ScheduleDefinition, changed_at: datetime) -> ScheduleState:
    """Return the state to go on with. Its times count from `changed_at` if they are new or have changed.

    `changed_at` is when the definition was saved, or now if that is not known.
    """
    found = timing(definition)
    since = changed_at.replace(microsecond=changed_at.microsecond // 1000 * 1000)
    if state is None:
        return ScheduleState(since=since, timing=found)
    return state if state.timing == found else replace(state, since=since, timing=found)


Piece: TypeAlias = Fire | Skip
"""A decided part of the planned times."""


def first_due(timetable: Timetable, state: ScheduleState) -> datetime | None:
    """Return when to decide for the first time after a start or an edit; None if nothing is left to decide."""
    planned = timetable.next(timetable.first if state.last is None else max(state.last, timetable.first))
    return None if planned is None else timetable.fires_at(planned)


def decide(timetable: Timetable, state: ScheduleState, now: datetime) -> Decision:
    """Decide all planned times after `state.last` up to now."""
    definition = timetable.definition
    decided = timetable.since if state.last is None else max(state.last, timetable.since)
    if not definition.enabled or timetable.trigger is None:
        return Decision(decided_until=decided)
    if definition.max_runs is not None and state.runs >= definition.max_runs:
        return Decision(decided_until=decided, is_done=True)
    if timetable.trigger.after_end:
        return _decide_delay(timetable, state, decided, now)
    lower = timetable.first if state.last is None else max(state.last, timetable.first)
    until, following, pieces = None, timetable.next(lower), list[Piece]()
    if following is not None and timetable.fires_at(following) <= now:
        first = following
        until, following = _due(timetable, first, now)
        pieces = _limited(definition, state, _pieces(timetable, state, first, until, now))
    runs = state.runs + sum(isinstance(piece, Fire) for piece in pieces)
    is_done = following is None or (definition.max_runs is not None and runs >= definition.max_runs)
    return _decision(
        pieces,
        decided_until=until or decided,
        next_due=None if is_done or following is None else timetable.fires_at(following),
        is_done=is_done,
        clock_is_behind=state.last is not None and state.last > now,
    )


def _due(timetable: Timetable, first: datetime, now: datetime) -> tuple[datetime, datetime | None]:
    """Return the newest planned time that is due, and the one after it. Planned times fire in their order."""
    until, following = first, timetable.next(first)
    if following is None or timetable.fires_at(following) > now:
        return until, following  # a schedule that is on time ends here
    # All times up to `surely` are due, however long their jitter is.
    surely = now - (timetable.definition.jitter or timedelta(0))
    until = max(first, timetable.previous(surely + _SMALLEST) or first)
    following = timetable.next(max(first, surely))
    while following is not None and timetable.fires_at(following) <= now:
        until, following = following, timetable.next(following)
    return until, following


def _pieces(timetable: Timetable, state: ScheduleState, first: datetime, last: datetime, now: datetime) -> list[Piece]:
    """Sort the planned times from the first to the last. Goes backwards, because the newest missed times run."""
    newest_first: list[Piece] = []
    turn = timetable.fires_at(first)
    left = timetable.definition.most_missed
    until: datetime | None = last
    while until is not None and until >= first:
        verdict = _verdict(timetable, state, until, now - max(turn, timetable.fires_at(until)), now)
        if verdict == "catch_up" and (left == 0 or _stands_for_missed(timetable.definition, newest_first)):
            verdict = "missed"
        start = until
        if verdict == "tick" or verdict == "catch_up":
            newest_first.append(Fire(until, verdict))
            left -= verdict == "catch_up"
        else:
            if verdict in _FOR_ALL_EARLIER:
                start = first
            elif verdict == "calendar":
                start = max(first, timetable.next(timetable.days_off_start(until) - _SMALLEST) or until)
            newest_first.append(Skip(start, until, _count(timetable, start, until), verdict))
        until = timetable.previous(start) if start > first else None
    return newest_first[::-1]


def _stands_for_missed(definition: ScheduleDefinition, later: Sequence[Piece]) -> bool:
    """Whether a time that is due right now runs instead of the missed ones."""
    return definition.missed == "once" and any(isinstance(piece, Fire) for piece in later)


def _verdict(
    timetable: Timetable, state: ScheduleState, planned: datetime, late: timedelta, now: datetime
) -> Literal["tick", "catch_up"] | SkipReason:
    """Judge one planned time that is due, by itself. `late` is the time since it could fire."""
    definition = timetable.definition
    if state.held:
        return "hold"
    if timetable.skipped_as is not None:
        return timetable.skipped_as
    if definition.pause_until is not None and planned < definition.pause_until:
        return "paused"
    if planned in state.skips:
        return "skip_next"
    if timetable.is_off(planned):
        return "calendar"
    if definition.start_deadline is not None and late > definition.start_deadline:
        return "start_deadline"
    if late <= ON_TIME:
        return "tick"
    return "ends_at" if definition.ends_at is not None and now > definition.ends_at else "catch_up"


def _count(timetable: Timetable, first: datetime, last: datetime) -> int:
    """Return the number of planned times in a range, or `COUNTED` if there are more."""
    count, found = 1, timetable.next(first)
    while count < COUNTED and found is not None and found <= last:
        count, found = count + 1, timetable.next(found)
    return count


def _limited(definition: ScheduleDefinition, state: ScheduleState, pieces: list[Piece]) -> list[Piece]:
    """Turn the fires beyond `max_runs`, which are the last ones, into skips."""
    if definition.max_runs is None:
        return pieces
    left = definition.max_runs - state.runs
    made: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Fire):
            left -= 1
            made.append(piece if left >= 0 else Skip(piece.planned_at, piece.planned_at, 1, "max_runs"))
        else:
            made.append(piece)
    return made


def _decide_delay(timetable: Timetable, state: ScheduleState, lower: datetime, now: datetime) -> Decision:
    """Decide the one planned time that counts from the end of the last run. None is planned while a run is open."""
    if state.is_open:
        return Decision(decided_until=lower)
    planned = timetable.next(lower if state.ended_at is None else max(lower, state.ended_at))
    if planned is None or timetable.fires_at(planned) > now:
        return _until_next(timetable, planned, lower)
    verdict = _verdict(timetable, state, planned, now - timetable.fires_at(planned), now)
    if verdict == "tick" or (verdict == "catch_up" and timetable.definition.most_missed):
        return Decision(fires=(Fire(planned, verdict),), decided_until=planned)
    skip = Skip(planned, planned, 1, "missed" if verdict == "catch_up" else verdict)
    # After a skip the next delay counts from now, because no run ends.
    decided_until = max(now, planned)
    return replace(_until_next(timetable, timetable.next(decided_until), decided_until), skips=(skip,))


def _until_next(timetable: Timetable, following: datetime | None, decided_until: datetime) -> Decision:
    next_due = None if following is None else timetable.fires_at(following)
    return Decision(decided_until=decided_until, next_due=next_due, is_done=following is None)


def _decision(pieces: Sequence[Piece], **words: Any) -> Decision:
    """Return the decision with the skips in a row for the same reason as one."""
    fires = tuple(piece for piece in pieces if isinstance(piece, Fire))
    skips: list[Skip] = []
    before: Piece | None = None
    for piece in pieces:
        if isinstance(piece, Skip):
            if isinstance(before, Skip) and before.reason == piece.reason:
                count = min(skips[-1].count + piece.count, COUNTED)
                skips[-1] = replace(skips[-1], last=piece.last, count=count)
            else:
                skips.append(piece)
        before = piece
    return Decision(fires=fires, skips=tuple(skips), **words)
