"""Cycles and windows: their days and times, found again one day after the other."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rota.schedule.spec import parse_spec
from tests.unit.schedule.firing import fires

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
DATES = st.dates(date(1990, 1, 1), date(2060, 1, 1))
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
TIMES = st.integers(0, 24 * 60 - 1)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


@given(st.integers(1, 40), DATES, DATES, TIMES)
def test_every_n_days_counts_days_from_the_anchor(count: int, anchor: date, start: date, minute: int) -> None:
    trigger = parse_spec(f"every {count} days at {clock(minute)}", timezone="UTC").anchored(midnight(anchor))
    found = fires(trigger, midnight(start) - SECOND, 3)
    days = [at.date() for at in found]
    assert [(day - anchor).days % count for day in days] == [0, 0, 0]
    assert (days[0] - start).days < count
    assert [later - earlier for earlier, later in pairwise(days)] == [timedelta(days=count)] * 2
    assert all(at - midnight(at.date()) == timedelta(minutes=minute) for at in found)


@given(st.integers(1, 12), DATES, DATES, st.sets(st.sampled_from(WEEKDAYS), min_size=1), TIMES)
def test_every_n_weeks_counts_weeks_from_the_anchor(
    count: int, anchor: date, start: date, weekdays: set[str], minute: int
) -> None:
    text = f"every {count} weeks on {' and '.join(sorted(weekdays))} at {clock(minute)}"
    trigger = parse_spec(text, timezone="UTC").anchored(midnight(anchor))
    expected = [
        day
        for day in (start + timedelta(days=number) for number in range(7 * count * 3))
        if WEEKDAYS[day.isoweekday() % 7] in weekdays and (monday(day) - monday(anchor)).days // 7 % count == 0
    ]
    found = fires(trigger, midnight(start) - SECOND, len(expected))
    assert [at.date() for at in found] == expected
    assert trigger.previous(found[-1] + SECOND) == found[-1]
    assert trigger.previous(found[-1]) == (found[-2] if len(found) > 1 else trigger.previous(found[0]))


@given(st.integers(1, 12), DATES, DATES, st.integers(1, 28))
def test_every_n_months_counts_months_from_the_anchor(count: int, anchor: date, start: date, number: int) -> None:
    trigger = parse_spec(f"every {count} months on {number} at 08:00", timezone="UTC").anchored(midnight(anchor))
    for at in fires(trigger, midnight(start), 3):
        assert at.day == number
        assert ((at.year - anchor.year) * 12 + at.month - anchor.month) % count == 0


@settings(max_examples=60)
@example(1, 0, 2, "", date(2000, 1, 1))  # nothing is left for the part after midnight
@given(TIMES, TIMES, st.integers(10, 300), st.sampled_from(["", "mon-fri", "sun", "fri,sun"]), DATES)
def test_window_fires_in_steps_from_its_start_to_its_end(start: int, end: int, step: int, on: str, day: date) -> None:
    length = (end - start) % (24 * 60)
    if step > length:
        return
    text = f"every {step}m from {clock(start)} to {clock(end)}" + (f" on {on}" if on else "")
    open_days = {"": range(7), "mon-fri": range(1, 6), "sun": (0,), "fri,sun": (5, 0)}[on]
    expected = sorted(
        midnight(opens) + timedelta(minutes=start + passed)
        for opens in (day + timedelta(days=number) for number in range(-1, 4))
        if opens.isoweekday() % 7 in open_days
        for passed in range(0, length + 1, step)
    )
    trigger = parse_spec(text, timezone="UTC")
    inside = [at for at in expected if midnight(day) <= at < midnight(day) + 3 * DAY]
    assert fires(trigger, midnight(day) - SECOND, len(inside)) == inside
    after = midnight(day) + 3 * DAY
    for at in reversed(inside):
        assert trigger.previous(after) == at
        after = at


def test_day_that_no_month_of_the_cycle_has_never_fires() -> None:
    trigger = parse_spec("every 12 months on 30 at 08:00", timezone="UTC")
    assert trigger.anchored(datetime(2026, 2, 1, tzinfo=UTC)).next(datetime(2026, 2, 1, tzinfo=UTC)) is None
    assert trigger.anchored(datetime(2026, 2, 1, tzinfo=UTC)).previous(datetime(2026, 2, 1, tzinfo=UTC)) is None
