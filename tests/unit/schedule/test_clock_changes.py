"""Clock changes: the table of the rules, and every rule again by brute force over the zones that are hard."""

import random
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.schedule.spec import parse_spec
from rota.schedule.trigger import RobfigTrigger, Trigger
from tests.unit.schedule.firing import noted

NEW_YORK = "America/New_York"
MINUTE = timedelta(minutes=1)
HARD_ZONES = (
    NEW_YORK,
    "Europe/London",
    "Europe/Berlin",
    "Asia/Amman",
    "America/Santiago",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Asia/Shanghai",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Europe/Dublin",
)
ZONES_OF_PLACES = sorted(available_timezones() - {"Factory", "localtime"})  # these two are settings of a machine
SKIPPED_DAY = datetime(2011, 12, 30, 10, tzinfo=UTC)  # in Apia
YEARS = {"Asia/Shanghai": (1986, 1992), "Europe/London": (1994, 2004), "America/Sao_Paulo": (2010, 2020)}


def changes_of(zone: str, first: int, last: int) -> list[datetime]:
    """The instants of some years at which the offset of a zone changes."""
    tz = ZoneInfo(zone)
    found: list[datetime] = []
    at, end, hour = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC), timedelta(hours=1)
    while at < end:
        after = at + timedelta(days=3)
        if at.astimezone(tz).utcoffset() != after.astimezone(tz).utcoffset():
            while (at + hour).astimezone(tz).utcoffset() == at.astimezone(tz).utcoffset():
                at += hour
            found.append(at + hour)
        at = after
    return found


CHANGES = {zone: changes_of(zone, *YEARS.get(zone, (2011, 2030))) for zone in HARD_ZONES}
CASES = [(zone, change) for zone, changes in CHANGES.items() for change in changes] + [
    (zone, datetime(2024, 3, 10, tzinfo=UTC)) for zone in ("Asia/Kolkata", "Asia/Kathmandu")
]

# --- the rules again, one wall minute after the other ---


def wall_times(instant: datetime, hours: int, tz: ZoneInfo) -> Iterator[datetime]:
    """All minutes of the wall clock around an instant, also those that do not exist."""
    around = timedelta(hours=hours)
    wall, last = ((instant + side).astimezone(tz).replace(tzinfo=None, second=0, fold=0) for side in (-around, around))
    while wall <= last:
        yield wall
        wall += MINUTE


def instants(wall: datetime, tz: ZoneInfo) -> list[datetime]:
    """The instants at which the clock shows this time: none, one or two."""
    both = {wall.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(at for at in both if at.astimezone(tz).replace(tzinfo=None) == wall)


def after_gap(wall: datetime, tz: ZoneInfo) -> datetime:
    """The first minute at which the clock has jumped over this time. No clock jumps back within 30 hours of a gap."""
    start = wall.replace(tzinfo=UTC) - timedelta(hours=15)
    minutes = range(30 * 60)
    jumped = bisect_left(minutes, True, key=lambda n: (start + n * MINUTE).astimezone(tz).replace(tzinfo=None) >= wall)
    return start + jumped * MINUTE


def expected_fires(matching: list[datetime], tz: ZoneInfo, *, through_gap: bool, both_passes: bool) -> list[datetime]:
    found: set[datetime] = set()
    for wall in matching:
        times = instants(wall, tz)
        found.update(times if both_passes else times[:1])
        if not times and through_gap:
            found.add(after_gap(wall, tz))
    return sorted(found)


def walk(trigger: Trigger, after: datetime, before: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = trigger.next(after)
    while at is not None and at < before:
        found.append(at)
        at = trigger.next(at)
    return found


def walk_back(trigger: Trigger, after: datetime, before: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = trigger.previous(before)
    while at is not None and at > after:
        found.append(at)
        at = trigger.previous(at)
    return found[::-1]


# A field: its text, its values, and whether it follows elapsed time.
Field = tuple[str, set[int], bool]


def values_of(low: int, high: int) -> st.SearchStrategy[Field]:
    number = st.integers(low, high)
    return st.one_of(
        st.just(("*", set(range(low, high + 1)), True)),
        number.map(lambda value: (str(value), {value}, False)),
        st.sets(number, min_size=2, max_size=4).map(lambda some: (",".join(map(str, sorted(some))), some, False)),
        st.tuples(number, number)
        .map(sorted)
        .map(lambda two: (f"{two[0]}-{two[1]}", set(range(two[0], two[1] + 1)), True)),
        st.integers(2, 20)
        .filter(lambda step: step <= high)
        .map(lambda step: (f"*/{step}", set(range(low, high + 1, step)), True)),
    )


NIGHT = st.sets(st.integers(0, 4), min_size=1, max_size=3).map(
    lambda some: (",".join(map(str, sorted(some))), some, False)
)
HOURS = NIGHT | values_of(0, 23)  # most clocks change at night


@settings(max_examples=100)
@given(
    st.sampled_from(CASES),
    values_of(0, 59),
    HOURS,
    st.sampled_from(["*", "L", "1", "*/2", "28-3", "LW"]),
    st.booleans(),
    st.booleans(),
)
def test_every_expression_fires_as_the_rules_say_around_clock_changes(
    case: tuple[str, datetime], minute: Field, hour: Field, day: str, after: bool, twice: bool
) -> None:
    zone, change = case
    check_against_the_rules(zone, change, minute, hour, day, after=after, twice=twice)


def check_against_the_rules(
    zone: str, change: datetime, minute: Field, hour: Field, day: str, *, after: bool, twice: bool
) -> None:
    tz = ZoneInfo(zone)
    trigger = parse_spec(
        f"{minute[0]} {hour[0]} {day} * *",
        timezone=zone,
        skipped_hour="after" if after else "skip",
        repeated_hour="twice" if twice else "once",
    )
    matching = [
        wall
        for wall in wall_times(change, 36, tz)
        if wall.minute in minute[1] and wall.hour in hour[1] and matches_day(wall, day)
    ]
    elapsed = minute[2] or hour[2]
    fires = expected_fires(matching, tz, through_gap=after and not elapsed, both_passes=twice or elapsed)
    start, end = change - timedelta(hours=30), change + timedelta(hours=30)
    inside = [at for at in fires if start < at < end]
    assert walk(trigger, start, end) == inside
    assert walk_back(trigger, start, end) == inside


def matches_day(wall: datetime, day: str) -> bool:
    last = (wall.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    workday = last - timedelta(days=max(last.weekday() - 4, 0))
    return {
        "*": True,
        "L": wall.day == last.day,
        "1": wall.day == 1,
        "*/2": wall.day % 2 == 1,
        "28-3": wall.day >= 28 or wall.day <= 3,
        "LW": wall.day == workday.day,
    }[day]


@pytest.mark.slow
@pytest.mark.parametrize("zone", sorted(CHANGES))
def test_expressions_fire_as_the_rules_say_at_each_change_of_twenty_years(zone: str) -> None:
    chance = random.Random(zone)
    texts = {"0": {0}, "30": {30}, "0,30": {0, 30}, "*/15": set(range(0, 60, 15)), "*": set(range(60))}
    hours = {"0": {0}, "2": {2}, "1,2,3": {1, 2, 3}, "*": set(range(24)), "*/2": set(range(0, 24, 2)), "23": {23}}
    for change in CHANGES[zone]:
        for _ in range(6):
            minute, hour = chance.choice(list(texts)), chance.choice(list(hours))
            check_against_the_rules(
                zone,
                change,
                (minute, texts[minute], minute in ("*", "*/15")),
                (hour, hours[hour], hour in ("*", "*/2")),
                "*",
                after=chance.random() < 0.5,
                twice=chance.random() < 0.5,
            )


# --- every zone, twenty years ---

INSTANTS = st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)).map(lambda naive: naive.replace(tzinfo=UTC))
TEXTS = st.sampled_from(
    [
        "30 2 * * *",
        "0 0 * * *",
        "0 2,3 * * *",
        "*/15 * * * *",
        "0 */2 * * *",
        "59 59 23 L * *",
        "0 12 15W * *",
        "0 0 29 2 *",
        "30 1 * * SUN#2",
        "15 3 1-7 * FRIL",
        "H H * * *",
        "@every 17m",
        "every 2 weeks on mon at 02:30",
        "every 3 days at 00:30",
        "every 25m from 22:10 to 03:40 on fri-sun",
        "every month on last at 00:00,23:59",
        "0 0 * * 1 ",
    ]
)


@settings(max_examples=300)
@given(st.sampled_from(ZONES_OF_PLACES), INSTANTS, TEXTS, st.booleans(), st.booleans())
def test_next_and_previous_agree_in_every_zone(zone: str, at: datetime, text: str, after: bool, twice: bool) -> None:
    trigger = parse_spec(
        text,
        timezone=zone,
        skipped_hour="after" if after else "skip",
        repeated_hour="twice" if twice else "once",
    )
    first = trigger.next(at)
    assert first is not None
    assert first > at
    assert first.tzinfo is UTC
    fires = [first]
    for _ in range(3):
        following = trigger.next(fires[-1])
        if following is not None:
            fires.append(following)
    for earlier, later in pairwise(fires):
        assert earlier < later
        assert trigger.previous(later) == earlier
        assert trigger.next(later - timedelta(microseconds=1)) == later
        assert trigger.previous(earlier + timedelta(microseconds=1)) == earlier
    last = trigger.previous(at)
    assert last is not None
    assert last < at
    assert trigger.next(last) in (at, first)


@settings(max_examples=200)
@given(
    st.sampled_from(ZONES_OF_PLACES),
    INSTANTS,
    st.sampled_from(["30 2 * * *", "*/20 * * * *", "0 0 13 * 5", "5 */3 28 * *", "0 1-3 * * 0"]),
)
def test_asynq_dialect_rises_and_shows_matching_times_in_every_zone(zone: str, at: datetime, text: str) -> None:
    trigger = parse_spec(text, timezone=zone, dialect="asynq")
    assert isinstance(trigger, RobfigTrigger)
    for _ in range(4):
        following = trigger.next(at)
        assert following is not None
        assert following > at
        local = following.astimezone(ZoneInfo(zone))
        time = local.hour * 3600 + local.minute * 60
        assert trigger.rule.days(local.year, local.month) >> local.day & 1
        assert trigger.rule.time_from(time) == time
        at = following


# --- the table ---

SPRING, AUTUMN = "2026-03-08T00:00-05:00", "2026-11-01T00:00-04:00"


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("30 2 * * *", SPRING, ["2026-03-08T03:00-04:00 shifted", "2026-03-09T02:30-04:00"]),
        ("30 2 * * *", AUTUMN, ["2026-11-01T02:30-05:00", "2026-11-02T02:30-05:00"]),
        ("30 1 * * *", SPRING, ["2026-03-08T01:30-05:00", "2026-03-09T01:30-04:00"]),
        ("30 1 * * *", AUTUMN, ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
        ("0 2,3 * * *", SPRING, ["2026-03-08T03:00-04:00 merged", "2026-03-09T02:00-04:00"]),
        ("0,30 2 * * *", SPRING, ["2026-03-08T03:00-04:00 merged", "2026-03-09T02:00-04:00"]),
        ("0 2,3 * * *", AUTUMN, ["2026-11-01T02:00-05:00", "2026-11-01T03:00-05:00"]),
        ("0 */2 * * *", SPRING, ["2026-03-08T04:00-04:00", "2026-03-08T06:00-04:00"]),
        ("*/15 * * * *", "2026-03-08T01:40-05:00", ["2026-03-08T01:45-05:00", "2026-03-08T03:00-04:00"]),
        (
            "*/30 * * * *",
            "2026-11-01T01:10-04:00",
            [
                "2026-11-01T01:30-04:00",
                "2026-11-01T01:00-05:00 repeated",
                "2026-11-01T01:30-05:00 repeated",
                "2026-11-01T02:00-05:00",
            ],
        ),
    ],
)
def test_clock_changes_of_new_york_follow_the_table(text: str, start: str, expected: list[str]) -> None:
    assert noted(text, NEW_YORK, start, len(expected)) == expected


def test_skip_leaves_out_the_time_that_does_not_exist() -> None:
    assert noted("30 2 * * *", NEW_YORK, SPRING, 1, skipped_hour="skip") == ["2026-03-09T02:30-04:00"]
    assert noted("0 2,3 * * *", NEW_YORK, SPRING, 1, skipped_hour="skip") == ["2026-03-08T03:00-04:00"]


def test_twice_fires_in_both_passes() -> None:
    assert noted("0,30 1 * * *", NEW_YORK, AUTUMN, 5, repeated_hour="twice") == [
        "2026-11-01T01:00-04:00",
        "2026-11-01T01:30-04:00",
        "2026-11-01T01:00-05:00 repeated",
        "2026-11-01T01:30-05:00 repeated",
        "2026-11-02T01:00-05:00",
    ]


def test_day_that_does_not_exist_fires_at_the_start_of_the_next() -> None:
    apia = "Pacific/Apia"
    before = "2011-12-29T12:00-10:00"
    assert noted("0 9 * * *", apia, before, 2) == ["2011-12-31T00:00+14:00 shifted", "2011-12-31T09:00+14:00"]
    assert noted("0 9 * * *", apia, before, 1, skipped_hour="skip") == ["2011-12-31T09:00+14:00"]
    assert noted("0 */6 * * *", apia, before, 3) == [
        "2011-12-29T18:00-10:00",
        "2011-12-31T00:00+14:00",
        "2011-12-31T06:00+14:00",
    ]
    trigger = parse_spec("0 9 30 12 *", timezone=apia, dialect="asynq")
    assert trigger.next(SKIPPED_DAY - timedelta(days=3)) == datetime(2012, 12, 29, 19, tzinfo=UTC)


def test_once_fires_at_its_moment_or_after_the_gap() -> None:
    assert noted("at 2026-03-08T02:30", NEW_YORK, SPRING, 1) == ["2026-03-08T03:00-04:00"]
    assert noted("at 2026-11-01T01:30", NEW_YORK, AUTUMN, 1) == ["2026-11-01T01:30-04:00"]


@pytest.mark.parametrize("text", ["* * * * *", "0 0 1 1 *", "@every 1h", "every day at 02:30"])
def test_search_ends_at_the_first_and_last_year(text: str) -> None:
    for dialect in ("rota", "asynq"):
        if dialect == "asynq" and text.startswith("every"):
            continue
        trigger = parse_spec(text, timezone=NEW_YORK, dialect=dialect)  # type: ignore[arg-type]
        late, early = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)
        assert trigger.next(late) is None
        assert trigger.previous(early) is None
