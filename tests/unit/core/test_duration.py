"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.duration import at_least, display, parse
from rota.errors import OptionError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("2d", 172800),
        ("1w", 604800),
        ("1.5h", 5400),
        (" 10s ", 10),
        ("5us", 0.000005),
        (7, 7),
        (0.5, 0.5),
        (0, 0),
        (timedelta(minutes=1), 60),
    ],
)
def test_each_way_of_writing_is_read(written: str | float | timedelta, seconds: float) -> None:
    assert parse(written) == timedelta(seconds=seconds)


def test_a_string_without_a_unit_is_refused_and_the_unit_is_proposed() -> None:
    with pytest.raises(OptionError, match=r"timeout is '30'.*write '30s' for seconds"):
        parse("30", "timeout")


@pytest.mark.parametrize("written", ["", "s", "5 minutes", "1h-5m", "-", "--5s", "-x", "5S", "1h 30m", "١s"])
def test_what_is_no_duration_is_refused_with_the_units(written: str) -> None:
    with pytest.raises(OptionError, match="units w, d, h, m, s, ms or us"):
        parse(written)


@pytest.mark.parametrize("value", [-1, -0.5, timedelta(seconds=-1), "-5s", " -1h30m ", "-5", "- 5s", "-1.5"])
def test_a_negative_duration_is_refused(value: float | str | timedelta) -> None:
    with pytest.raises(OptionError, match="cannot be negative"):
        parse(value)


@pytest.mark.parametrize("value", [True, None, [], b"5s"])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(OptionError, match="not a duration"):
        parse(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e20, "99999999999w"])
def test_what_no_timedelta_can_hold_is_refused(value: float | str) -> None:
    with pytest.raises(OptionError, match=r"not a number|too long"):
        parse(value)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9999)))
def test_what_is_displayed_is_read_back(value: timedelta) -> None:
    assert parse(display(value)) == value


def test_a_duration_is_displayed_from_days_to_microseconds() -> None:
    assert display(timedelta(days=1, hours=2, seconds=3, milliseconds=4)) == "1d2h3s4ms"
    assert display(timedelta(0)) == "0s"
    assert display(timedelta(seconds=-90)) == "-1m30s"


def test_a_duration_that_is_too_short_is_refused_with_the_reason() -> None:
    with pytest.raises(OptionError, match="ttl is 500ms, but must be at least 1s: the lock counts seconds"):
        at_least("500ms", timedelta(seconds=1), "ttl", "the lock counts seconds")
