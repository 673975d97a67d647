"""Schedules in plain words, windows, delays and moments."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.errors import ScheduleError
from rota.schedule.spec import parse_spec
from rota.schedule.trigger import DelayTrigger, IntervalTrigger
from tests.unit.schedule.firing import fires, noted, shown

BERLIN = "Europe/Berlin"
SUNDAY = "2026-11-29T00:00+01:00"  # its week is one of every second week since 1970


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every day at 02:30", ["11-29T02:30", "11-30T02:30", "12-01T02:30"]),
        ("every 3 days at 06:00", ["12-01T06:00", "12-04T06:00", "12-07T06:00"]),
        ("every week on mon at 09:00", ["11-30T09:00", "12-07T09:00", "12-14T09:00"]),
        ("every 2 weeks on mon at 09:00", ["12-07T09:00", "12-21T09:00"]),
        ("every 2 weeks on mon, thu and sun at 09:00", ["11-29T09:00", "12-07T09:00", "12-10T09:00", "12-13T09:00"]),
        ("every mon at 9:00", ["11-30T09:00", "12-07T09:00"]),
        ("Every Monday at 09:00", ["11-30T09:00", "12-07T09:00"]),
        ("every mon-wed at 09:00", ["11-30T09:00", "12-01T09:00", "12-02T09:00", "12-07T09:00"]),
        ("every weekday at 09:00,17:30", ["11-30T09:00", "11-30T17:30", "12-01T09:00"]),
        ("every weekend at 09:00", ["11-29T09:00", "12-05T09:00", "12-06T09:00"]),
        ("every month on 1 at 08:00", ["12-01T08:00"]),
        ("every month on 1, 15 and last at 08:00", ["11-30T08:00", "12-01T08:00", "12-15T08:00", "12-31T08:00"]),
        ("every month on LW at 08:00 and 20:00", ["11-30T08:00", "11-30T20:00", "12-31T08:00"]),
        ("every month on mon#2 at 08:00", ["12-14T08:00"]),
        ("every month on fril at 08:00", ["12-25T08:00"]),
        ("  every   day at 02:30:15 ", ["11-29T02:30:15"]),
        ("TZ=Asia/Tokyo every day at 02:30", ["11-29T18:30", "11-30T18:30"]),
        ("every 20m from 09:30 to 10:10", ["11-29T09:30", "11-29T09:50", "11-29T10:10", "11-30T09:30"]),
        ("every 7 minutes from 09:55 to 10:10", ["11-29T09:55", "11-29T10:02", "11-29T10:09", "11-30T09:55"]),
        ("every 20m from 23:30 to 00:45 on fri", ["12-04T23:30", "12-04T23:50", "12-05T00:10", "12-05T00:30"]),
        ("every 5h from 22:00 to 05:00 on sun", ["11-29T22:00", "11-30T03:00", "12-06T22:00"]),
        ("every 5m from 09:30 to 17:45 on mon-fri", ["11-30T09:30", "11-30T09:35"]),
        ("at 2026-12-24T18:00", ["12-24T18:00"]),
        ("at 2026-12-24 18:00:30", ["12-24T18:00:30"]),
        ("at 2026-12-24T18:00Z", ["12-24T19:00"]),
        ("at 2026-12-24T18:00-05:00", ["12-25T00:00"]),
    ],
)
def test_words_fire_at_their_times(text: str, expected: list[str]) -> None:
    trigger = parse_spec(text, timezone=BERLIN)
    assert shown(trigger, SUNDAY, len(expected), BERLIN) == [f"2026-{each}+01:00" for each in expected]


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("@every 1h30m", timedelta(hours=1, minutes=30)),
        ("@EVERY 2w", timedelta(weeks=2)),
        ("@every\t90s ", timedelta(seconds=90)),
        ("every 10 minutes", timedelta(minutes=10)),
        ("every 1 hour", timedelta(hours=1)),
        ("every hour", timedelta(hours=1)),
        ("every 90s", timedelta(seconds=90)),
        ("@every 1.5s", timedelta(seconds=1.5)),
        ("@every 1s500000µs", timedelta(seconds=1.5)),
    ],
)
def test_interval_is_read(text: str, every: timedelta) -> None:
    trigger = parse_spec(text, timezone=BERLIN)
    assert isinstance(trigger, IntervalTrigger)
    assert trigger.every == every


def test_interval_counts_from_its_anchor() -> None:
    last = datetime(2026, 11, 27, 13, 7, 11, tzinfo=UTC)
    trigger = parse_spec("@every 168h", timezone=BERLIN).anchored(last)
    week = timedelta(days=7)
    assert trigger.needs_anchor
    assert fires(trigger, last + timedelta(days=3), 2) == [last + week, last + 2 * week]
    assert trigger.next(last) == last + week
    assert trigger.previous(last) == last - week
    assert trigger.previous(last + timedelta(microseconds=1)) == last


def test_interval_without_an_anchor_is_the_same_in_every_process() -> None:
    trigger = parse_spec("@every 15m", timezone=BERLIN)
    assert shown(trigger, "2026-11-29T10:07:31Z", 2, "UTC") == ["2026-11-29T10:15+00:00", "2026-11-29T10:30+00:00"]


@pytest.mark.parametrize(
    ("text", "anchor", "expected"),
    [
        ("every 2 weeks on mon at 09:00", "2026-11-25T12:00Z", ["2026-12-07T09:00+01:00", "2026-12-21T09:00+01:00"]),
        ("every 2 weeks on mon at 09:00", "2026-12-02T12:00Z", ["2026-11-30T09:00+01:00", "2026-12-14T09:00+01:00"]),
        ("every 3 days at 06:00", "2026-11-27T12:00Z", ["2026-11-30T06:00+01:00", "2026-12-03T06:00+01:00"]),
        ("every 3 days at 06:00", "2026-11-27T23:30Z", ["2026-12-01T06:00+01:00"]),  # it is the 28th in Berlin
        ("every 3 months on 1 at 08:00", "2026-11-27T12:00Z", ["2027-02-01T08:00+01:00", "2027-05-01T08:00+02:00"]),
    ],
)
def test_cycle_counts_from_the_local_day_of_its_anchor(text: str, anchor: str, expected: list[str]) -> None:
    trigger = parse_spec(text, timezone=BERLIN).anchored(datetime.fromisoformat(anchor))
    assert trigger.needs_anchor
    assert shown(trigger, "2026-11-29T12:00Z", len(expected), BERLIN) == expected


@pytest.mark.parametrize("text", ["30 2 * * *", "every day at 02:30", "at 2026-12-24T18:00", "every 10m after end"])
def test_anchor_does_not_change_other_triggers(text: str) -> None:
    trigger = parse_spec(text, timezone=BERLIN)
    assert not trigger.needs_anchor
    assert trigger.anchored(datetime(2026, 11, 27, tzinfo=UTC)) == trigger


def test_delay_counts_from_the_end_of_the_last_run() -> None:
    trigger = parse_spec("every 10m after end", timezone=BERLIN)
    end = datetime(2026, 11, 29, 10, 0, 0, 250_000, tzinfo=UTC)
    assert isinstance(trigger, DelayTrigger)
    assert trigger.after_end
    assert trigger.next(end) == end + timedelta(minutes=10)


def test_moment_fires_once() -> None:
    trigger = parse_spec("at 2026-12-24T18:00Z", timezone=BERLIN)
    at = datetime(2026, 12, 24, 18, tzinfo=UTC)
    assert trigger.next(at - timedelta(seconds=1)) == at
    assert trigger.next(at) is None
    assert trigger.previous(at) is None
    assert trigger.previous(at + timedelta(seconds=1)) == at


def test_words_follow_the_wall_clock_at_clock_changes() -> None:
    spring, autumn = "2026-03-28T12:00+01:00", "2026-10-24T12:00+02:00"
    text = "every day at 02:30"
    assert noted(text, BERLIN, spring, 2) == ["2026-03-29T03:00+02:00 shifted", "2026-03-30T02:30+02:00"]
    assert noted(text, BERLIN, spring, 1, skipped_hour="skip") == ["2026-03-30T02:30+02:00"]
    assert noted(text, BERLIN, autumn, 2) == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]
    assert noted(text, BERLIN, autumn, 2, repeated_hour="twice") == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00 repeated",
    ]


def test_window_follows_elapsed_time_at_clock_changes() -> None:
    text = "every 30m from 01:30 to 03:30"
    assert noted(text, BERLIN, "2026-03-29T00:00+01:00", 4) == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
        "2026-03-30T01:30+02:00",
    ]
    assert noted(text, BERLIN, "2026-10-25T02:00+02:00", 4) == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00 repeated",
        "2026-10-25T02:30+01:00 repeated",
        "2026-10-25T03:00+01:00",
    ]


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("every", 5, "is missing here"),
        ("at 9999-12-31T23:59", 3, "its year is outside of 1970 to 9000"),
        ("every 10", 8, "a unit is missing here"),
        ("every 10 minuts", 9, "Did you mean 'minute'"),
        ("every 0 days at 09:00", 6, "1 or more"),
        ("every 2000 days at 09:00", 6, "at most 1826 days"),
        ("every 99999999 weeks on mon at 09:00", 6, "at most 260 weeks"),
        ("every 0m", 6, "too short"),
        ("every -5m", 6, "cannot be negative"),
        ("every 2 weeks", 13, "'on' and a day are missing here"),
        ("every week at 09:00", 11, "'on' and a day are missing here"),
        ("every month at 09:00", 12, "as in 'every month on 1"),
        ("every day", 9, "'at' and a time are missing here"),
        ("every day on mon at 09:00", 10, "'on' does not belong here"),
        ("every day at", 12, "an item of the list is missing"),
        ("every day at 9am", 13, "is not a time of day"),
        ("every day at 24:00", 13, "outside of 00:00 to 23:59"),
        ("every day at 09:60", 13, "outside of 00:00 to 23:59"),
        ("every day at 09:00 17:00", 19, "Separate the items"),
        ("every day at 09:00,", 19, "an item of the list is missing"),
        ("every day at 09:00,,10:00", 19, "an item of the list is missing"),
        ("every day at 09:00 from 10:00", 19, "'from' does not belong here"),
        ("every mon,funday at 09:00", 10, "'funday' is not a day of week"),
        ("every mon#2 at 09:00", 6, "is not a day of the week"),
        ("every week on mon/2 at 09:00", 14, "is not a day of the week"),
        ("every month on 32 at 08:00", 15, "day of month 32"),
        ("every month on mon at 08:00", 15, "is not a day of a month"),
        ("every 10m at 09:00", 10, "'every 3 days at 06:00'"),
        ("every 10m after", 15, "something is missing"),
        ("every 10m after start", 16, "'end' is missing here"),
        ("every 10m after end now", 20, "'now' does not belong here"),
        ("every 10m from 09:00", 20, "something is missing"),
        ("every 10m from 09:00 until 10:00", 21, "'to' is missing here"),
        ("every 10m from 09:00 to 09:00", 15, "starts and ends at the same time"),
        ("every 2h from 09:00 to 10:00", 6, "fit into the window"),
        ("every 1.5s from 09:00 to 10:00", 6, "whole seconds"),
        ("every 10m from 09:00 to 10:00 on", 32, "an item of the list is missing"),
        ("at", 2, "takes a date and a time"),
        ("at 09:00", 3, "'every day at 09:00'"),
        ("at 2026-12-24", 3, "takes a date and a time"),
        ("at 2026-02-30T10:00", 3, "is not a date and time"),
        ("at 0001-01-01T00:00+12:00", 3, "is not a date and time"),
        ("TZ=UTC every dya at 09:00", 13, "'dya' is not a day of week"),
    ],
)
def test_words_are_refused_at_their_position(text: str, position: int, reason: str) -> None:
    with pytest.raises(ScheduleError, match=reason) as caught:
        parse_spec(text, timezone=BERLIN)
    assert caught.value.position == position
