"""What cannot be read is refused with its position, in bounded time."""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.errors import OptionError, ScheduleError
from rota.schedule.cron import CronExpression
from rota.schedule.spec import parse_spec

REFUSED = [
    ("1--100000000 * * * *", 2, "more than one hyphen"),
    ("1-100000000 * * * *", 2, "100000000 is outside of 0-59"),
    ("*/0 * * * *", 2, "a step of 0 never moves on"),
    ("5/0 * * * *", 2, "a step of 0 never moves on"),
    ("60 * * * *", 0, "minute 60 is outside of 0-59"),
    ("* 24 * * *", 2, "hour 24 is outside of 0-23"),
    ("* * 0 * *", 4, "day of month 0 is outside of 1-31"),
    ("* * * 13 *", 6, "month 13 is outside of 1-12"),
    ("* * * * 8", 8, "day of week 8 is outside of 0-7"),
    ("0 0 31 2 *", 0, "never fires"),
    ("0 0 31 4,6 *", 0, "never fires"),
    ("0 0 30 2 *", 0, "never fires"),
    ("0 0 L-30 2 *", 0, "never fires"),
    ("0 0 31W 4 *", 0, "never fires"),
    ("0 0 * 2 FRI#5", 0, "never fires"),
    ("0 0 * 2 MON#5", 0, "never fires"),
    ("TZ=x", 3, "a space and the expression"),
    ("TZ=x * * * * *", 3, "The time zone 'x' is not known"),
    ("TZ=Europe/Berln @daily", 3, "Did you mean 'Europe/Berlin'?"),
    ("TZ=../../etc/passwd @daily", 3, "is not known"),
    ("TZ=/etc/passwd @daily", 3, "is not known"),
    ("TZ=America @daily", 3, "is not known"),
    ("TZ=UTC ", 7, "the expression is missing"),
    ("CRON_TZ=", 7, "a space and the expression"),
    ("CRON_TZ= @daily", 8, "is not known"),
    ("¹ * * * *", 0, "digits 0 to 9"),
    ("１ * * * *", 0, "digits 0 to 9"),
    ("٣ * * * *", 0, "digits 0 to 9"),
    ("@every 0s", 7, "too short"),
    ("@every -1s", 7, "cannot be negative"),
    ("@every 100ms", 7, "too short"),
    ("@every 1s500us", 7, "whole number of milliseconds"),
    ("@every 10", 7, "is not a duration"),
    ("@every 999999999999h", 7, "a hundred years"),
    ("@every", 6, "an interval is missing"),
    ("@every  ", 6, "an interval is missing"),
    ("* " * 5000, 256, "at most 256"),
    ("* * * * *\0", 9, r"\\x00 \(U\+0000\)"),
    ("*\u00a0* * * *", 1, "plain spaces"),
    ("*\x1f* * * *", 1, "not allowed"),
    ("* L * * *", 2, "only in the day of month field"),
    ("* L-3 * * *", 2, "only in the day fields"),
    ("* * * * L", 8, "'L' alone is the last day"),
    ("* * * * LW", 8, "only in the day of month field"),
    ("* * WL * *", 4, "Did you mean 'LW'"),
    ("* * L-31 * *", 6, "L-1 to L-30"),
    ("* * 32W * *", 4, "day of month 32"),
    ("* * MON#2 * *", 7, "belongs to the day of week field"),
    ("* * * * MON#0", 12, "#1 to #5"),
    ("* * * * MON#6", 12, "#1 to #5"),
    ("* * * * MON#", 8, "Did you mean 'mon'"),
    ("* * * * monday", 8, "Did you mean 'mon'"),
    ("* * * janx *", 6, "Did you mean 'jan'"),
    ("* * * XYZ *", 6, "Known: jan, feb"),
    ("1,,2 * * * *", 2, "an empty item"),
    (", * * * *", 0, "an empty item"),
    ("1, * * * *", 1, "an empty item"),
    ("1- * * * *", 1, "is not complete"),
    ("-1 * * * *", 1, "is not complete"),
    ("1/ * * * *", 1, "is not complete"),
    ("1/x * * * *", 2, "the step 'x' is not a number"),
    ("1/2/3 * * * *", 3, "more than one slash"),
    ("*-5 * * * *", 1, "already means all values"),
    ("*/90 * * * *", 2, "'@every 90m'"),
    ("* */24 * * *", 4, "'@every 24h'"),
    ("* * * */12 *", 8, "only its first value"),
    ("H(5 * * * *", 0, "is not a form of H"),
    ("H(30-10) * * * *", 2, "before it starts"),
    ("H(0-60) * * * *", 4, "minute 60"),
    ("h * * * *", 0, "is not a form of H"),
    ("", 0, "the text is empty"),
    (" \t ", 0, "the text is empty"),
    ("* * * *", 7, "there are 4 fields"),
    ("*", 1, "there is 1 field"),
    ("0 0 1 1 * * 2030", 10, "a year field does not exist"),
    ("@dayly", 0, "Did you mean '@daily'"),
    ("@daily at 02:30", 6, "after '@daily' comes nothing"),
    ("@every 1h 30m", 7, "is not a duration"),
    ("@reboot", 0, "does not exist"),
    ("daily", 0, "Did you mean '@daily'"),
    ("evry 10m", 0, "Did you mean 'every'"),
    ("hello", 0, "Write for example"),
]


@pytest.mark.parametrize(("text", "position", "reason"), REFUSED)
def test_text_is_refused_at_its_position(text: str, position: int, reason: str) -> None:
    with pytest.raises(ScheduleError, match=reason) as caught:
        parse_spec(text, timezone="UTC")
    assert caught.value.position == position
    assert caught.value.text == text
    assert f"character {position + 1}:" in str(caught.value)


def test_message_shows_the_start_of_a_long_text_only() -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_spec("\x1b[31m" + "9" * 10_000, timezone="UTC")
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


def test_unknown_zone_of_the_call_is_refused() -> None:
    with pytest.raises(OptionError, match="Did you mean 'Asia/Shanghai'"):
        parse_spec("@daily", timezone="Asia/Shangai")


def test_system_without_time_zones_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.schedule.spec.available_timezones", lambda: set[str]())
    with pytest.raises(OptionError, match="Install the package tzdata"):
        parse_spec("@daily", timezone="Asia/Shangai")


@pytest.mark.parametrize("timezone", [None, 2, timedelta(hours=1)])
def test_zone_of_another_type_is_refused(timezone: Any) -> None:
    with pytest.raises(OptionError, match="pass a ZoneInfo"):
        parse_spec("@daily", timezone=timezone)


@pytest.mark.parametrize("text", [None, 5, b"@daily", ["@daily"]])
def test_spec_of_another_type_is_refused(text: Any) -> None:
    with pytest.raises(OptionError, match="not a text"):
        parse_spec(text, timezone="UTC")


@pytest.mark.parametrize("text", ["@daily", "@every 1h", "every 2 weeks on mon at 09:00"])
def test_time_without_a_zone_is_refused(text: str) -> None:
    trigger, naive = parse_spec(text, timezone="UTC"), datetime(2026, 11, 29)
    for ask in (trigger.next, trigger.previous, trigger.occurrence):
        with pytest.raises(OptionError, match="has no time zone"):
            ask(naive)


@pytest.mark.parametrize("option", ["dialect", "skipped_hour", "repeated_hour"])
def test_unknown_choice_is_refused(option: str) -> None:
    with pytest.raises(OptionError, match=f"{option} is 'never'"):
        parse_spec("@daily", timezone="UTC", **{option: "never"})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["30 2 * 3 SUN#2", "at 2026-03-08T02:30"])
def test_text_that_falls_into_the_skipped_hour_is_refused_with_skip(text: str) -> None:
    parse_spec(text, timezone="America/New_York")
    with pytest.raises(ScheduleError, match="skip"):
        parse_spec(text, timezone="America/New_York", skipped_hour="skip")


def test_worst_texts_are_refused_within_a_second() -> None:
    worst = [
        "*" * 10_000,
        ",".join(["0-59"] * 2000) + " * * * *",
        "0 0 30 2 *",
        "59 59 23 31 2 *",
        "@every " + "9" * 240 + "h",
        "every " + "9" * 200 + " days at 02:30",
        "1" * 250 + " * * * *",
        "-" * 250,
        "/" * 250,
        "(" * 250 + " * * * *",
    ]
    start = time.thread_time()  # of the processor, because a busy machine stretches all others
    for text in worst:
        for dialect in ("rota", "asynq"):
            with pytest.raises(ScheduleError):
                parse_spec(text, timezone="America/New_York", dialect=dialect)  # type: ignore[arg-type]
    assert time.thread_time() - start < 1


PIECES = st.sampled_from([*"0123456789*?/-,#LWH() @", "MON", "jan", "every", "at", "TZ=", "UTC", "@every", "on", "10m"])


@given(st.text() | st.lists(PIECES, max_size=30).map("".join), st.sampled_from(["rota", "asynq"]))
def test_any_text_is_read_or_refused_with_a_position(text: str, dialect: str) -> None:
    position = 0
    try:
        parse_spec(text, timezone="UTC", dialect=dialect)  # type: ignore[arg-type]
    except ScheduleError as fault:
        position = fault.position
    assert 0 <= position <= len(text)


FIELD = st.tuples(
    st.sampled_from(["*", "?", "L", "LW", "L-3", "H", "MON", "jan", "XYZ"]) | st.integers(0, 99).map(str),
    st.just("") | st.integers(0, 99).map("-{}".format),
    st.just("") | st.integers(0, 99).map("/{}".format),
    st.sampled_from(["", "", "", "W", "L", "#2", "#9"]),
).map("".join)


@given(st.lists(FIELD, min_size=5, max_size=6).map(" ".join))
def test_expression_that_is_read_has_six_fields_within_their_ranges(text: str) -> None:
    try:
        cron = CronExpression.parse(text)
    except ScheduleError:
        return
    assert [field.mask >> high for field, high in zip(cron.fields, (60, 60, 24, 32, 13, 7), strict=True)] == [0] * 6
    assert [part.text for part in cron.fields[-1].parts] == cron.fields[-1].text.split(",")
