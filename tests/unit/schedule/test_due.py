"""Which planned times fire, which are skipped and why: each one is decided once, whatever happens in between."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.schedule.definition import ScheduleDefinition
from rota.schedule.due import COUNTED, Decision, Fire, ScheduleState, Skip, adopted, decide, timing
from rota.schedule.timetable import Timetable

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)


class Weekend:
    """A calendar on which Saturday and Sunday are off."""

    def is_off(self, day: date, /) -> bool:
        return day.weekday() >= 5


class Simulated:
    """A schedule and what is stored about it, as a scheduler keeps both."""

    def __init__(self, *, since: datetime = START, days_off: Weekend | None = None, **words: Any) -> None:
        given = {"name": "s", "task_type": "a:b", **words}
        if given.get("kind") != "once":
            given.setdefault("specs", "@hourly")
        self.definition = ScheduleDefinition.read(given)
        self.calendar = days_off
        self.state = adopted(None, self.definition, since)

    @property
    def timetable(self) -> Timetable:
        return Timetable("id", self.definition, self.state.since, self.calendar)

    def wake(self, now: datetime) -> Decision:
        """Decide, and store what was decided."""
        made = decide(self.timetable, self.state, now)
        self.state = replace(self.state, last=made.decided_until, runs=self.state.runs + len(made.fires))
        return made

    def edit(self, now: datetime, **patch: Any) -> None:
        """Change the definition, as the store does, and adopt it."""
        self.definition = self.definition.patched(patch)
        self.state = adopted(self.state, self.definition, now)


def fired(made: Decision) -> list[datetime]:
    return [fire.planned_at for fire in made.fires]


def between(timetable: Timetable, first: datetime, last: datetime) -> Iterator[datetime]:
    """The planned times from one to another, both included."""
    found = timetable.next(first - timedelta(microseconds=1))
    while found is not None and found <= last:
        yield found
        found = timetable.next(found)


def test_time_fires_when_it_is_due_and_the_next_one_is_named() -> None:
    schedule = Simulated()

    early, due = schedule.wake(START + 59 * MINUTE), schedule.wake(START + HOUR)

    assert early == Decision(decided_until=START, next_due=START + HOUR)
    assert due.fires == (Fire(START + HOUR, "tick"),)
    assert due.next_due == START + 2 * HOUR


def test_time_fires_once_however_often_a_scheduler_wakes_up() -> None:
    schedule = Simulated()
    schedule.wake(START + HOUR)

    again = schedule.wake(START + HOUR + timedelta(milliseconds=20))

    assert (again.fires, again.skips) == ((), ())


def test_equal_instants_of_several_specs_are_one_time() -> None:
    schedule = Simulated(specs=["0 * * * *", "*/30 * * * *", "30 1 * * *"])

    assert fired(schedule.wake(START + 30 * MINUTE)) == [START + 30 * MINUTE]
    assert fired(schedule.wake(START + HOUR)) == [START + HOUR]


@pytest.mark.parametrize("away", [2 * HOUR, 2 * WEEK])
@pytest.mark.parametrize(
    ("policy", "most"), [({"missed": "skip"}, 0), ({}, 1), ({"missed": "all", "missed_limit": 5}, 5)]
)
def test_after_an_absence_as_many_missed_times_run_as_the_policy_says(
    policy: dict[str, Any], most: int, away: timedelta
) -> None:
    schedule = Simulated(specs="*/10 * * * *", **policy)
    now = START + away + 3 * MINUTE
    count = away // (10 * MINUTE)

    made = schedule.wake(now)

    newest = [START + away - step * 10 * MINUTE for step in reversed(range(most))]
    assert made.fires == tuple(Fire(planned, "catch_up") for planned in newest)
    assert made.skips == (
        Skip(START + 10 * MINUTE, START + away - most * 10 * MINUTE, min(count - most, COUNTED), "missed"),
    )
    assert made.next_due == START + away + 10 * MINUTE


def test_time_that_is_due_right_now_stands_for_the_missed_ones() -> None:
    made = Simulated().wake(START + 5 * HOUR)

    assert made.fires == (Fire(START + 5 * HOUR, "tick"),)
    assert made.skips == (Skip(START + HOUR, START + 4 * HOUR, 4, "missed"),)


def test_new_leader_fires_what_came_due_during_the_take_over_whatever_the_policy() -> None:
    schedule = Simulated(specs="@every 1s", missed="skip")
    schedule.wake(START + timedelta(seconds=10))

    made = schedule.wake(START + timedelta(seconds=15))

    assert fired(made) == [START + timedelta(seconds=second) for second in range(11, 16)]


def test_missed_time_later_than_its_start_deadline_does_not_run() -> None:
    schedule = Simulated(missed="all", start_deadline="90m")

    made = schedule.wake(START + 5 * HOUR + 10 * MINUTE)

    assert fired(made) == [START + 4 * HOUR, START + 5 * HOUR]
    assert made.skips == (Skip(START + HOUR, START + 3 * HOUR, 3, "start_deadline"),)


def test_interval_of_a_week_fires_on_day_seven_in_spite_of_daily_restarts() -> None:
    schedule = Simulated(specs="@every 168h")
    days = []
    for day in range(1, 15):
        state = ScheduleState(**{name: getattr(schedule.state, name) for name in ("since", "timing", "last", "runs")})
        restarted = Simulated(specs="@every 168h", since=START + day * DAY)  # what is stored wins over the restart
        restarted.state = adopted(state, restarted.definition, START + day * DAY)
        days += [day for _ in restarted.wake(START + day * DAY).fires]
        schedule = restarted

    assert days == [7, 14]


def test_pause_skips_the_times_in_it_and_does_not_make_up_for_them() -> None:
    schedule = Simulated(pause_until=START + 3 * HOUR + MINUTE)

    during, after = schedule.wake(START + 2 * HOUR), schedule.wake(START + 4 * HOUR)

    assert (during.fires, during.skips) == ((), (Skip(START + HOUR, START + 2 * HOUR, 2, "paused"),))
    assert during.next_due == START + 3 * HOUR
    assert after.fires == (Fire(START + 4 * HOUR, "tick"),)
    assert after.skips == (Skip(START + 3 * HOUR, START + 3 * HOUR, 1, "paused"),)


def test_hold_skips_all_times() -> None:
    schedule = Simulated()
    schedule.state = replace(schedule.state, held=True)

    made = schedule.wake(START + 2 * HOUR)

    assert (made.fires, [skip.reason for skip in made.skips]) == ((), ["hold"])
    assert made.next_due == START + 3 * HOUR


def test_time_that_a_user_skips_does_not_run_and_the_others_do() -> None:
    schedule = Simulated()
    schedule.state = replace(schedule.state, skips=frozenset({START + HOUR}))

    assert schedule.wake(START + HOUR).skips == (Skip(START + HOUR, START + HOUR, 1, "skip_next"),)
    assert fired(schedule.wake(START + 2 * HOUR)) == [START + 2 * HOUR]


def test_disabled_schedule_plans_nothing_and_counts_from_when_it_is_enabled() -> None:
    schedule = Simulated(enabled=False)
    off = schedule.wake(START + 5 * HOUR)
    schedule.edit(START + 5 * HOUR + MINUTE, enabled=True)

    on = schedule.wake(START + 5 * HOUR + 2 * MINUTE)

    assert (off.fires, off.skips, off.next_due) == ((), (), None)
    assert (on.fires, on.skips, on.next_due) == ((), (), START + 6 * HOUR)


def test_change_of_the_time_zone_makes_no_burst() -> None:
    schedule = Simulated(specs="0 * * * *", missed="all")
    schedule.wake(START + 5 * HOUR)
    for zone in ("Asia/Kolkata", "America/New_York", "UTC"):
        schedule.edit(START + 5 * HOUR + 10 * MINUTE, timezone=zone)
        assert schedule.wake(START + 5 * HOUR + 10 * MINUTE).fires == ()


def test_edit_of_the_specs_does_not_make_a_time_of_the_past_due() -> None:
    schedule = Simulated(specs="0 12 * * *")
    schedule.wake(START + 10 * HOUR)
    schedule.edit(START + 10 * HOUR, specs=["0 9 * * *"])

    made = schedule.wake(START + 10 * HOUR + MINUTE)

    assert (made.fires, made.skips, made.next_due) == ((), (), START + DAY + 9 * HOUR)


def test_edit_of_the_remark_loses_no_missed_time() -> None:
    schedule = Simulated()
    schedule.edit(START + 90 * MINUTE, remark="new")

    assert fired(schedule.wake(START + 100 * MINUTE)) == [START + HOUR]


def test_nothing_fires_again_after_the_clock_jumped_back() -> None:
    schedule = Simulated()
    schedule.wake(START + 3 * HOUR)

    back, forth = schedule.wake(START + HOUR), schedule.wake(START + 4 * HOUR)

    assert (back.fires, back.next_due, back.clock_is_behind) == ((), START + 4 * HOUR, True)
    assert (fired(forth), forth.clock_is_behind) == ([START + 4 * HOUR], False)


def test_schedule_fires_from_its_start_to_its_end() -> None:
    schedule = Simulated(starts_at=START + 2 * HOUR, ends_at=START + 3 * HOUR)

    assert schedule.wake(START + HOUR).next_due == START + 2 * HOUR
    assert fired(schedule.wake(START + 2 * HOUR)) == [START + 2 * HOUR]
    last = schedule.wake(START + 3 * HOUR + timedelta(milliseconds=5))
    assert (fired(last), last.is_done, last.next_due) == ([START + 3 * HOUR], True, None)


def test_interval_with_a_start_fires_first_at_the_start() -> None:
    schedule = Simulated(specs="@every 7h", starts_at=START + 90 * MINUTE)

    assert schedule.wake(START).next_due == START + 90 * MINUTE


def test_missed_time_does_not_run_after_the_end() -> None:
    made = Simulated(ends_at=START + 2 * HOUR).wake(START + 2 * HOUR + MINUTE)

    assert (made.fires, made.is_done) == ((), True)
    assert made.skips == (Skip(START + HOUR, START + 2 * HOUR, 2, "ends_at"),)


def test_schedule_is_done_after_its_last_run() -> None:
    schedule = Simulated(max_runs=3, missed="all")
    schedule.wake(START + HOUR)

    made = schedule.wake(START + 4 * HOUR + MINUTE)
    after = schedule.wake(START + 9 * HOUR)

    assert (fired(made), made.is_done, made.next_due) == ([START + 2 * HOUR, START + 3 * HOUR], True, None)
    assert made.skips == (Skip(START + 4 * HOUR, START + 4 * HOUR, 1, "max_runs"),)
    assert (after.fires, after.skips, after.is_done) == ((), (), True)


def test_once_fires_one_time_and_is_done_also_after_a_restart() -> None:
    schedule = Simulated(kind="once", process_at=START + HOUR)

    assert schedule.wake(START).next_due == START + HOUR
    made = schedule.wake(START + HOUR)
    assert (fired(made), made.is_done) == ([START + HOUR], True)
    assert schedule.wake(START + DAY).fires == ()


@pytest.mark.parametrize(("missed", "count"), [("once", 1), ("skip", 0)])
def test_missed_moment_of_a_schedule_that_fires_once_follows_its_rule(missed: str, count: int) -> None:
    made = Simulated(kind="once", process_at=START + HOUR, missed=missed).wake(START + DAY)

    assert (len(made.fires), len(made.skips), made.is_done) == (count, 1 - count, True)


@pytest.mark.parametrize(("before", "count"), [(timedelta(seconds=30), 1), (timedelta(hours=20), 1), (2 * DAY, 0)])
def test_moment_shortly_before_the_schedule_was_saved_counts_as_missed(before: timedelta, count: int) -> None:
    made = Simulated(kind="once", process_at=START - before).wake(START)

    assert (len(made.fires), made.is_done) == (count, True)


def test_start_in_the_future_does_not_decide_times_before_it() -> None:
    schedule = Simulated(starts_at=START + WEEK)
    schedule.wake(START + HOUR)
    schedule.edit(START + HOUR, starts_at=None)

    assert schedule.wake(START + HOUR).next_due == START + 2 * HOUR


def test_delay_counts_from_when_the_schedule_was_saved() -> None:
    assert Simulated(kind="once", process_in="10m").wake(START).next_due == START + 10 * MINUTE


def test_schedule_that_runs_on_demand_never_fires() -> None:
    schedule = Simulated(kind="wait", specs=None)

    assert schedule.wake(START + WEEK) == Decision(decided_until=START)


class TestDelayAfterTheEnd:
    """`every 10m after end`."""

    def test_next_run_counts_from_the_end_of_the_last_one(self) -> None:
        schedule = Simulated(specs="every 10m after end")
        first = schedule.wake(START + 10 * MINUTE)
        schedule.state = replace(schedule.state, is_open=True)
        running = schedule.wake(START + HOUR)
        schedule.state = replace(schedule.state, is_open=False, ended_at=START + 2 * HOUR)
        ended = schedule.wake(START + 2 * HOUR + MINUTE)

        assert (fired(first), first.next_due) == ([START + 10 * MINUTE], None)
        assert (running.fires, running.next_due) == ((), None)
        assert (ended.fires, ended.next_due) == ((), START + 2 * HOUR + 10 * MINUTE)

    @pytest.mark.parametrize(("missed", "count"), [("once", 1), ("all", 1), ("skip", 0)])
    def test_missed_run_follows_the_rule(self, missed: str, count: int) -> None:
        schedule = Simulated(specs="every 10m after end", missed=missed)
        made = schedule.wake(START + DAY)

        assert len(made.fires) == count
        if not count:
            assert made.skips == (Skip(START + 10 * MINUTE, START + 10 * MINUTE, 1, "missed"),)
            assert made.next_due == START + DAY + 10 * MINUTE

    def test_planned_times_are_whole_milliseconds(self) -> None:
        schedule = Simulated(specs="every 10m after end")
        schedule.state = replace(schedule.state, ended_at=START + timedelta(microseconds=1234))

        assert schedule.wake(START + MINUTE).next_due == START + 10 * MINUTE + timedelta(milliseconds=1)


class TestCalendar:
    """A daily schedule, and weekends off."""

    def test_day_off_is_skipped(self) -> None:
        schedule = Simulated(specs="0 9 * * *", days_off=Weekend())
        schedule.wake(START + 4 * DAY + 9 * HOUR)

        made = schedule.wake(START + 7 * DAY + 9 * HOUR)

        assert fired(made) == [START + 7 * DAY + 9 * HOUR]
        assert made.skips == (Skip(START + 5 * DAY + 9 * HOUR, START + 6 * DAY + 9 * HOUR, 2, "calendar"),)

    def test_days_off_are_one_skip_and_do_not_use_up_the_missed_ones(self) -> None:
        schedule = Simulated(specs="0 */6 * * *", days_off=Weekend(), missed="all", missed_limit=2)

        made = schedule.wake(START + 7 * DAY + HOUR)

        assert fired(made) == [START + 4 * DAY + 18 * HOUR, START + 7 * DAY]
        assert [(skip.reason, skip.count) for skip in made.skips] == [("missed", 18), ("calendar", 8)]

    def test_times_of_days_off_move_to_one_run_on_the_next_working_day(self) -> None:
        schedule = Simulated(specs="0 9 * * *", days_off=Weekend(), calendar="weekend", on_day_off="next_working_day")
        schedule.wake(START + 4 * DAY + 9 * HOUR)

        saturday, monday = schedule.wake(START + 5 * DAY + 9 * HOUR), schedule.wake(START + 7 * DAY + 9 * HOUR)

        assert (saturday.fires, saturday.next_due) == ((), START + 7 * DAY + 9 * HOUR)
        assert (fired(monday), monday.skips) == ([START + 7 * DAY + 9 * HOUR], ())

    def test_time_of_a_day_off_moves_to_the_working_day_before(self) -> None:
        schedule = Simulated(
            specs="0 9 8 * *", days_off=Weekend(), calendar="weekend", on_day_off="previous_working_day"
        )

        assert schedule.wake(START).next_due == START + 4 * DAY + 9 * HOUR  # 8 March is a Sunday


@pytest.mark.parametrize("rule", [{"missed": "once"}, {"missed": "skip"}, {"start_deadline": "1m"}])
def test_wait_for_an_earlier_time_with_a_longer_jitter_makes_no_time_late(rule: dict[str, str]) -> None:
    schedule = Simulated(specs="* * * * *", jitter="1h", **rule)
    made = schedule.wake(START)
    decided = list[Decision]()
    while made.next_due is not None and made.next_due < START + 12 * HOUR:
        decided.append(made := schedule.wake(made.next_due))

    assert sum(len(each.fires) for each in decided) > 11 * 60
    assert [each.skips for each in decided if each.skips] == []


SPECS = st.sampled_from(
    ["@hourly", "*/7 * * * *", "0 9 * * *", "30 1,2 * * *", "@every 168h", "@every 45m", "0 0 1 * *", "0 12 * * 1-5"]
)
PATCHES = st.one_of(
    st.fixed_dictionaries({"specs": st.lists(SPECS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"timezone": st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"])}),
    st.fixed_dictionaries({"missed": st.sampled_from(["once", "skip", "all"]), "missed_limit": st.none()}),
    st.fixed_dictionaries({"enabled": st.booleans()}),
    st.fixed_dictionaries({"jitter": st.sampled_from([None, "5m", "3h"])}),
    st.fixed_dictionaries({"remark": st.just("new")}),
    st.fixed_dictionaries({"pause_until": st.integers(0, 60).map(lambda days: START + days * DAY)}),
)
GAPS = st.one_of(
    st.integers(0, 20).map(lambda seconds: timedelta(seconds=seconds)),
    st.integers(0, 600).map(lambda minutes: minutes * MINUTE),
    st.integers(1, 25).map(lambda days: days * DAY),
    st.integers(1, 600).map(lambda minutes: -minutes * MINUTE),  # the clock jumps back
)


@settings(deadline=None)
@given(st.lists(st.tuples(GAPS, st.none() | PATCHES), max_size=12), st.booleans())
def test_each_planned_time_is_decided_exactly_once(steps: list[tuple[timedelta, Any]], with_calendar: bool) -> None:
    schedule = Simulated(days_off=Weekend() if with_calendar else None)
    now, all_fired = START, list[datetime]()
    for gap, patch in steps:
        now += gap
        timetable = schedule.timetable
        lower = max(schedule.state.last or timetable.since, timetable.since)
        made = schedule.wake(now)
        decided = [*fired(made)]
        for skip in made.skips:
            times = list(between(timetable, skip.first, skip.last))
            assert skip.count == min(len(times), COUNTED)
            assert (times[0], times[-1]) == (skip.first, skip.last)
            decided += times
        if schedule.definition.enabled:
            expected = between(timetable, lower + timedelta(microseconds=1), made.decided_until)
            assert sorted(decided) == list(expected)
            following = timetable.next(made.decided_until)
            assert following is not None
            assert timetable.fires_at(following) > now
            assert made.next_due == timetable.fires_at(following)
        else:
            assert decided == []
        all_fired += fired(made)
        if patch is not None:
            schedule.edit(now, **patch)
    assert all_fired == sorted(set(all_fired))


@settings(deadline=None)
@given(SPECS, st.integers(1, 5), st.integers(1, 1000).map(lambda hours: hours * HOUR))
def test_missed_times_run_up_to_the_limit_and_no_more(spec: str, limit: int, away: timedelta) -> None:
    for missed, most in (("skip", 0), ("once", 1), ("all", limit)):
        schedule = Simulated(specs=spec, missed=missed, missed_limit=limit if missed == "all" else None)
        late = START + away + 11 * timedelta(seconds=1)  # nothing is due right now
        planned = list(between(schedule.timetable, START, late))
        catch_ups = [each for each in planned if late - each > timedelta(seconds=10)]

        made = schedule.wake(late)

        if missed == "once":
            assert len(made.fires) == max(min(1, len(catch_ups)), len(planned) - len(catch_ups))
        else:
            assert fired(made) == planned[max(0, len(catch_ups) - most) :]


def test_fingerprint_changes_with_the_times_and_with_nothing_else() -> None:
    definition = Simulated().definition

    assert timing(definition.patched({"remark": "x", "queue": "q", "missed": "skip"})) == timing(definition)
    assert timing(definition.patched({"timezone": "Asia/Shanghai"})) != timing(definition)
    assert timing(definition.patched({"specs": ["@daily"]})) != timing(definition)
