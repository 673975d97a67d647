"""Expressions that cronsim and croniter read as we do fire as they say, over random expressions and times."""

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.schedule.spec import parse_spec
from tests.unit.schedule.firing import fires

COMMON = {"minute": (0, 59), "hour": (0, 23), "day": (1, 28), "month": (1, 12), "weekday": (0, 6)}


def field(name: str) -> st.SearchStrategy[str]:
    low, high = COMMON[name]
    number = st.integers(low, high)
    ordered = st.tuples(number, number).map(sorted).filter(lambda two: two[0] < two[1])
    return st.one_of(
        st.just("*"),
        number.map(str),
        ordered.map(lambda two: f"{two[0]}-{two[1]}"),
        st.lists(number, min_size=2, max_size=3, unique=True).map(lambda some: ",".join(map(str, sorted(some)))),
    )


def stepped(name: str) -> st.SearchStrategy[str]:
    low, high = COMMON[name]
    steps = st.integers(2, (high - low) // 2)
    return field(name) | steps.map(lambda step: f"*/{step}") | steps.map(lambda step: f"{low}-{high}/{step}")


# cronsim takes a step of days for a star, so the day fields have none.
DAYS = st.one_of(
    st.tuples(field("day"), field("month"), st.just("*")),
    st.tuples(st.just("*"), field("month"), field("weekday")),
    st.tuples(field("day"), field("month"), field("weekday")),
    st.tuples(st.just("L"), field("month"), st.just("*")),
    st.tuples(st.just("*"), field("month"), st.sampled_from(["1#2", "5#3", "0#1"])),
)
TEXTS = st.tuples(stepped("minute"), stepped("hour"), DAYS).map(lambda parts: " ".join((*parts[:2], *parts[2])))
TIMES = st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0))


@settings(max_examples=150)
@given(TEXTS, TIMES)
def test_expressions_fire_as_cronsim_and_croniter_say(text: str, start: datetime) -> None:
    ours = [at.replace(tzinfo=None) for at in fires(parse_spec(text, timezone="UTC"), start.replace(tzinfo=UTC), 5)]
    assert ours == list(islice(CronSim(text, start), 5))
    other = croniter(text, start)
    assert ours == [other.get_next(datetime) for _ in range(5)]


# Not Australia/Lord_Howe: of the half hour that it repeats, cronsim leaves out the minutes of `45 * * * *`.
@settings(max_examples=100)
@given(stepped("minute"), TIMES, st.sampled_from(["Europe/Riga", "America/New_York", "Australia/Sydney"]))
def test_every_hour_follows_elapsed_time_as_cronsim_does(minute: str, start: datetime, zone: str) -> None:
    text = f"{minute} * * * *"
    local = start.replace(tzinfo=ZoneInfo(zone))
    ours = fires(parse_spec(text, timezone=zone), local, 30)
    assert ours == [at.astimezone(UTC) for at in islice(CronSim(text, local), 30)]
