"""Calendars from and to iCalendar."""

import sys
from datetime import date

import pytest

from rota.errors import ConfigError, ScheduleInvalid
from rota.schedule.calendar import Calendar
from rota.schedule.ical import read_ical, write_ical

UNTIL = date(2028, 12, 31)


def ical(*events: str, head: str = "") -> str:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *head.split()]
    for event in events:
        lines += ["BEGIN:VEVENT", "UID:x", *event.splitlines(), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def dates(text: str) -> list[str]:
    return [day.isoformat() for day in sorted(read_ical(text, until=UNTIL)[0].days_off.dates)]


def test_an_event_of_several_days_makes_days_off() -> None:
    calendar, left_out = read_ical(
        ical(
            "DTSTART;VALUE=DATE:20261001\nDTEND;VALUE=DATE:20261004\nSUMMARY:National\\, Day",
            head="X-WR-CALNAME:holidays",
        ),
        until=UNTIL,
    )

    assert calendar.to_mapping() == {
        "name": "holidays",
        "days_off": [{"2026-10-01..2026-10-03": "National, Day"}],
        "ends": "2026-10-03",
    }
    assert left_out == []


@pytest.mark.parametrize(
    "mark",
    ["X-ROTA-DAY:WORKING", "X-APPLE-SPECIAL-DAY:ALTERNATE-WORKDAY", "SUMMARY:国庆节（班）", "SUMMARY:春节 班"],
)
def test_a_make_up_day_is_a_working_day(mark: str) -> None:
    calendar, _ = read_ical(
        ical(f"DTSTART;VALUE=DATE:20261010\n{mark}", "DTSTART;VALUE=DATE:20261010\nSUMMARY:a festival", ical_weekend()),
        until=UNTIL,
    )

    assert not calendar.is_off(date(2026, 10, 10))
    assert calendar.is_off(date(2026, 10, 17))


def ical_weekend() -> str:
    return "DTSTART;VALUE=DATE:20260103\nRRULE:FREQ=WEEKLY;BYDAY=SA,SU"


def test_endless_rules_become_days_of_the_week_and_of_every_year() -> None:
    calendar, _ = read_ical(
        ical(
            ical_weekend(),
            "DTSTART;VALUE=DATE:19901225\nRRULE:FREQ=YEARLY\nSUMMARY:Christmas",
            "DTSTART;VALUE=DATE:20200229\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        ),
        until=UNTIL,
        name="rules",
    )

    assert calendar.to_mapping() == {"name": "rules", "days_off": ["sat", "sun", "02-29", {"12-25": "Christmas"}]}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("DTSTART;VALUE=DATE:20251127\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", ["2025", "2026", "2027", "2028"]),
        ("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;COUNT=2", ["2026-12-25", "2027-12-25"]),
        ("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;UNTIL=20271231", ["2026-12-25", "2027-12-25"]),
        ("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;UNTIL=20271231T000000Z", ["2026-12-25", "2027-12-25"]),
        (
            "DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20271225",
            ["2026-12-25", "2028-12-25"],
        ),
        ("DTSTART;VALUE=DATE:20260601\nRDATE;VALUE=DATE:20260603,20260605", ["2026-06-01", "2026-06-03", "2026-06-05"]),
        ("DTSTART;VALUE=DATE:20260601\nDURATION:P2D", ["2026-06-01", "2026-06-02"]),
        ("DTSTART;VALUE=DATE:20260601\nSTATUS:CANCELLED", []),
        ("DTSTART;VALUE=DATE:20260601\nRRULE:FREQ=DAILY;COUNT=2", ["2026-06-01", "2026-06-02"]),
        ("DTSTART;VALUE=DATE:20281101\nRRULE:FREQ=MONTHLY;BYMONTHDAY=-1", ["2028-11-30", "2028-12-31"]),
    ],
)
def test_other_repetitions_become_dates(event: str, expected: list[str]) -> None:
    found = dates(ical(event))

    assert [day[: len(want)] for day, want in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("DTSTART:20261001T090000Z\nDTEND:20261001T100000Z", "it has a time of day, and a calendar has whole days"),
        ("DTSTART;VALUE=DATE:20261001\nRRULE:FREQ=SECONDLY", "its rule repeats SECONDLY, and a calendar has whole"),
        ("DTSTART;VALUE=DATE:20261001\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "DAILY with BYMONTH, BYMONTHDAY"),
        ("DTSTART;VALUE=DATE:20261001\nDTEND;VALUE=DATE:20291001", "it lasts 1096 days"),
        ("DTSTART;VALUE=DATE:10000101\nRRULE:FREQ=DAILY", "the file has more than 10000 days"),
        ("DTSTART;VALUE=DATE:20261001\nRRULE:FREQ=MONTHLY;BYDAY=99MO", "its rule cannot be computed"),
        ("SUMMARY:no start", "DTSTART"),
    ],
)
def test_what_is_no_whole_day_is_left_out_and_told(event: str, reason: str) -> None:
    calendar, left_out = read_ical(ical(event, "DTSTART;VALUE=DATE:20260501\nSUMMARY:May"), until=UNTIL)

    assert list(calendar.days_off.dates) == [date(2026, 5, 1)]
    assert len(left_out) == 1
    assert reason in left_out[0]


def test_a_calendar_is_written_and_read_back() -> None:
    calendar = Calendar.read(
        {
            "name": "china, 中国",
            "days_off": ["sat", "sun", {"12-25": "Christmas"}, "02-29", {"2026-10-01..2026-10-07": "国庆节"}],
            "working_days": ["2026-10-10", {"2026-02-14": "调休, make-up"}],
            "ends": "2026-12-31",
            "remark": "two\nlines",
        }
    )

    text = write_ical(calendar)

    assert read_ical(text, until=UNTIL) == (calendar, [])
    assert write_ical(calendar) == text


def test_a_calendar_of_few_working_days_is_written_and_read_back() -> None:
    calendar = Calendar.read({"name": "x", "working_days": ["fri", "2026-01-30"], "other_days": "off"})

    assert read_ical(write_ical(calendar), until=UNTIL) == (calendar, [])


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\n", "BEGIN:VCALENDAR\r\n", "\0"])
def test_a_file_that_is_not_icalendar_is_refused(text: str) -> None:
    with pytest.raises(ScheduleInvalid, match="not an iCalendar file"):
        read_ical(text, until=UNTIL)


def test_a_huge_file_is_refused_before_it_is_read() -> None:
    with pytest.raises(ScheduleInvalid, match="at most 5000000 are read"):
        read_ical("x" * 5_000_001, until=UNTIL)


def test_a_missing_library_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "icalendar", None)

    with pytest.raises(ConfigError, match=r"pip install 'rota\[icalendar\]'"):
        read_ical(ical(), until=UNTIL)
