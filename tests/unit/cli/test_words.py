"""Option values as they are typed."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.cli import words
from rota.errors import OptionError


def test_headers_are_pairs_and_a_value_may_hold_equals_signs() -> None:
    assert words.headers(["trace=abc", "filter=a=b"]) == {"trace": "abc", "filter": "a=b"}


@pytest.mark.parametrize("pair", ["trace", "=abc"])
def test_a_header_without_key_or_value_is_refused(pair: str) -> None:
    with pytest.raises(OptionError, match="key=value"):
        words.headers([pair])


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5", 1.5), ("1m30s", 90)])
def test_a_duration_is_seconds_or_has_units(text: str, seconds: float) -> None:
    assert words.duration(text, "--delay") == timedelta(seconds=seconds)


def test_a_time_with_an_offset_is_that_instant() -> None:
    assert words.instant("2026-01-31T18:00+02:00", "--at") == datetime(2026, 1, 31, 16, tzinfo=UTC)


def test_a_time_that_cannot_be_read_is_answered_with_an_example() -> None:
    with pytest.raises(OptionError, match="2026-01-31T18:00"):
        words.instant("tomorrow", "--at")


def test_what_is_not_said_stays_unsaid() -> None:
    assert words.duration(None, "--delay") is None
    assert words.instant(None, "--at") is None


@pytest.mark.parametrize("text", ["\u00b2", "1.2.3", "soon", "", "nan", "1e400"])
def test_a_duration_that_cannot_be_read_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(OptionError, match="--wait is"):
        words.duration(text, "--wait")


@pytest.mark.parametrize("text", ["0001-01-01", "2026-13-01", "", "\u00b2"])
def test_a_time_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--at is"):
        words.instant(text, "--at")
