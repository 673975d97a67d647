"""Asynq's dialect gives what robfig/cron v3.0.1 gave when it was asked."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rota.errors import ScheduleError
from rota.schedule.cron import CronExpression
from rota.schedule.robfig_search import robfig_next, robfig_walk
from rota.schedule.spec import parse_spec
from rota.schedule.trigger import RobfigTrigger
from tests.unit.schedule.firing import shown

NEW_YORK = "America/New_York"
VECTORS = [
    ("30 2 * * *", NEW_YORK, "2024-03-09T12:00-05:00", ["2024-03-11T02:30-04:00", "2024-03-12T02:30-04:00"]),
    ("0 2 * * *", NEW_YORK, "2024-03-10T00:00-05:00", ["2024-03-11T02:00-04:00"]),
    (
        "30 1 * * *",
        NEW_YORK,
        "2024-11-03T00:00-04:00",
        ["2024-11-03T01:30-04:00", "2024-11-03T01:30-05:00", "2024-11-04T01:30-05:00"],
    ),
    (
        "0 * * * *",
        NEW_YORK,
        "2024-11-03T00:30-04:00",
        ["2024-11-03T01:00-04:00", "2024-11-03T01:00-05:00", "2024-11-03T02:00-05:00"],
    ),
    (
        "0 * * * *",
        NEW_YORK,
        "2024-03-10T00:30-05:00",
        ["2024-03-10T01:00-05:00", "2024-03-10T03:00-04:00", "2024-03-10T04:00-04:00"],
    ),
    (
        "*/30 * * * *",
        NEW_YORK,
        "2024-11-03T00:45-04:00",
        [
            "2024-11-03T01:00-04:00",
            "2024-11-03T01:30-04:00",
            "2024-11-03T01:00-05:00",
            "2024-11-03T01:30-05:00",
            "2024-11-03T02:00-05:00",
        ],
    ),
    (
        "0 0 * * *",
        "America/Sao_Paulo",
        "2018-11-03T12:00-03:00",
        ["2018-11-05T00:00-02:00", "2018-11-06T00:00-02:00"],
    ),
    ("@daily", "America/Sao_Paulo", "2018-11-03T12:00-03:00", ["2018-11-05T00:00-02:00", "2018-11-06T00:00-02:00"]),
    ("0 0 4 11 *", "America/Sao_Paulo", "2018-11-03T12:00-03:00", ["2019-11-04T00:00-03:00"]),
    ("15 2 * * *", "Australia/Lord_Howe", "2024-10-05T12:00+10:30", ["2024-10-07T02:15+11:00"]),
    (
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2024-04-06T12:00+11:00",
        ["2024-04-07T01:45+11:00", "2024-04-07T01:45+10:30", "2024-04-08T01:45+10:30"],
    ),
    ("10 0 * * *", "Africa/Cairo", "2024-04-25T12:00+02:00", ["2024-04-27T00:10+03:00"]),
    (
        "0 0 13 * 5",
        "UTC",
        "2024-09-01T00:00Z",
        ["2024-09-06T00:00+00:00", "2024-09-13T00:00+00:00", "2024-09-20T00:00+00:00", "2024-09-27T00:00+00:00"],
    ),
    (
        "0 0 */2 * 5",
        "UTC",
        "2024-09-01T00:00Z",
        ["2024-09-03T00:00+00:00", "2024-09-05T00:00+00:00", "2024-09-06T00:00+00:00", "2024-09-07T00:00+00:00"],
    ),
    (
        "0 0 */1 * 5",
        "UTC",
        "2024-09-01T00:00Z",
        ["2024-09-06T00:00+00:00", "2024-09-13T00:00+00:00", "2024-09-20T00:00+00:00"],
    ),
    ("0 0 13 * ?", "UTC", "2024-09-01T00:00Z", ["2024-09-13T00:00+00:00", "2024-10-13T00:00+00:00"]),
    (
        "5/15 * * * *",
        "UTC",
        "2024-09-01T00:00Z",
        [f"2024-09-01T{time}+00:00" for time in ("00:05", "00:20", "00:35", "00:50", "01:05")],
    ),
    (
        "0 0 1 JAN-mar MON",
        "UTC",
        "2024-09-01T00:00Z",
        ["2025-01-01T00:00+00:00", "2025-01-06T00:00+00:00", "2025-01-13T00:00+00:00"],
    ),
    ("0 0 29 2 *", "UTC", "2024-03-01T00:00Z", ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
    (
        "@every 90s",
        "UTC",
        "2024-09-01T00:00:00.700Z",
        ["2024-09-01T00:01:30+00:00", "2024-09-01T00:03+00:00", "2024-09-01T00:04:30+00:00"],
    ),
    ("@every 1500ms", "UTC", "2024-09-01T00:00:00.700Z", ["2024-09-01T00:00:01+00:00", "2024-09-01T00:00:02+00:00"]),
    ("@every 100ms", "UTC", "2024-09-01T00:00:00.700Z", ["2024-09-01T00:00:01+00:00", "2024-09-01T00:00:02+00:00"]),
    ("@every 0s", "UTC", "2024-09-01T00:00:00.700Z", ["2024-09-01T00:00:01+00:00"]),
    ("@every -1s", "UTC", "2024-09-01T00:00:00.700Z", ["2024-09-01T00:00:01+00:00"]),
    (
        "CRON_TZ=Asia/Tokyo 0 6 * * *",
        "UTC",
        "2024-09-01T00:00Z",
        ["2024-09-01T21:00+00:00", "2024-09-02T21:00+00:00"],
    ),
    ("TZ=Asia/Kolkata @daily", "UTC", "2024-09-01T00:00Z", ["2024-09-01T18:30+00:00", "2024-09-02T18:30+00:00"]),
    ("TZ=Asia/Tokyo @every 1h", "UTC", "2024-09-01T00:10Z", ["2024-09-01T01:10+00:00"]),
    ("@weekly", "UTC", "2024-09-01T00:00Z", ["2024-09-08T00:00+00:00"]),
    ("@monthly", "UTC", "2024-09-01T00:00Z", ["2024-10-01T00:00+00:00"]),
    ("@yearly", "UTC", "2024-09-01T00:00Z", ["2025-01-01T00:00+00:00"]),
]


@pytest.mark.parametrize(("text", "zone", "after", "expected"), VECTORS)
def test_asynq_dialect_fires_as_robfig_does(text: str, zone: str, after: str, expected: list[str]) -> None:
    trigger = parse_spec(text, timezone=zone, dialect="asynq")
    assert shown(trigger, after, len(expected), zone) == expected


@pytest.mark.parametrize(
    ("text", "after"),
    [("0 0 29 2 *", "2096-03-01T00:00Z"), ("0 0 31 2 *", "2024-09-01T00:00Z"), (", * * * *", "2024-09-01T00:00Z")],
)
def test_search_of_asynq_dialect_ends_after_five_years(text: str, after: str) -> None:
    trigger = RobfigTrigger(text, CronExpression.parse(text, "asynq"), UTC)
    assert trigger.next(datetime.fromisoformat(after)) is None


@pytest.mark.parametrize("text", ["0 0 31 2 *", ", * * * *", "0 0 31 4,6 *"])
def test_expression_that_never_fires_is_refused_in_asynq_dialect_too(text: str) -> None:
    with pytest.raises(ScheduleError, match="never fires"):
        parse_spec(text, timezone="UTC", dialect="asynq")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("0 0 * * 7", 8),
        ("0 0 * * MON-SUN/2", 8),
        ("5-1 * * * *", 0),
        ("0 0 L * *", 4),
        ("0 0 15W * *", 4),
        ("0 0 * * MON#2", 8),
        ("H * * * *", 0),
        ("0 0 1 * * *", 10),
        ("*/0 * * * *", 2),
        ("1-2-3 * * * *", 3),
        ("1//2 * * * *", 2),
        ("x * * * *", 0),
        ("1- * * * *", 2),
        ("*/x * * * *", 2),
        ("every day at 02:30", 18),
        ("@DAILY", 0),
        ("@reboot", 0),
        ("@daily ", 6),
        ("@every\t1m", 6),
        ("@every", 6),
        ("@every 1d", 7),
        ("@every 9999999h", 7),
        ("TZ=x * * * * *", 3),
        ("TZ=UTC", 5),
        (" TZ=UTC * * * * *", 16),
    ],
)
def test_asynq_dialect_refuses_what_robfig_refuses(text: str, position: int) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_spec(text, timezone="UTC", dialect="asynq")
    assert caught.value.position == position
    assert caught.value.text == text


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("*-5 * * * *", "* * * * *"),
        ("?-5-7 * * * *", "* * * * *"),
        ("1,,2, * * * *", "1,2 * * * *"),
        ("*/90 * * * *", "0 * * * *"),
        ("+5 * * * *", "5 * * * *"),
        ("007 * * * *", "7 * * * *"),
        ("*\t* *\n* *", "* * * * *"),
        ("TZ=Local 0 6 * * *", "0 6 * * *"),
        ("TZ=Asia/Tokyo @daily ", "0 0 * * *"),
    ],
)
def test_asynq_dialect_keeps_the_oddities_of_robfig(text: str, means: str) -> None:
    after = "2024-09-01T00:00Z"
    read, plain = (parse_spec(each, timezone="Asia/Tokyo", dialect="asynq") for each in (text, means))
    assert shown(read, after, 20, "UTC") == shown(plain, after, 20, "UTC")


def test_empty_zone_of_asynq_dialect_is_utc() -> None:
    trigger = parse_spec("TZ= 0 6 * * *", timezone="Asia/Tokyo", dialect="asynq")
    assert shown(trigger, "2024-09-01T00:00Z", 1, "UTC") == ["2024-09-01T06:00+00:00"]


CHANGING = ["America/New_York", "Africa/Cairo", "Asia/Beirut", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Amman"]
WALKED = ["0 0 29 * *", "30 0 * * 5", "15 2 1 * *", "*/30 23 */9 3,4,10,11 *", "0 0 1-7 10 0", "59 23 31 * *"]


@settings(max_examples=150)
@given(
    st.sampled_from(CHANGING),
    st.datetimes(datetime(2008, 1, 1), datetime(2028, 1, 1)),
    st.sampled_from(WALKED),
)
@example("Asia/Kathmandu", datetime(1985, 12, 31, 21, 17), "* * 23 * *")  # its midnight of that day is skipped
@example("America/New_York", datetime(2012, 11, 4, 5, 45), "30 1 04 Nov ?")  # the second pass of this hour follows
def test_walk_finds_the_same_time_from_its_start_and_from_the_shortcut(zone: str, naive: datetime, text: str) -> None:
    start = naive.replace(tzinfo=UTC, microsecond=0)
    cron = CronExpression.parse(text, "asynq")
    year = start.astimezone(ZoneInfo(zone)).year
    walked = robfig_walk(cron, ZoneInfo(zone), start + timedelta(seconds=1), year + 5)
    assert robfig_next(cron, ZoneInfo(zone), start) == walked
