"""Option values as they are typed."""

from datetime import UTC, datetime, timedelta

import pytest

from rota import Settings
from rota.cli import option_types as words
from rota.errors import ConfigError, OptionError
from rota.settings.origin import CommandLine


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


@pytest.mark.parametrize("text", ["\u00b2", "1.2.3", "soon", "", "nan", "1e400", "-x"])
def test_a_duration_that_cannot_be_read_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(OptionError, match="--wait is"):
        words.duration(text, "--wait")


@pytest.mark.parametrize("text", ["0001-01-01", "2026-13-01", "", "\u00b2"])
def test_a_time_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--at is"):
        words.instant(text, "--at")


@pytest.mark.parametrize("text", ["-5s", "-5", "-1h30m"])
def test_a_negative_duration_is_refused_as_such(text: str) -> None:
    with pytest.raises(OptionError, match=r"--delay is .*cannot be negative"):
        words.duration(text, "--delay")


@pytest.mark.parametrize(
    ("line", "source"),
    [
        (words.settings_of(["lease=30"]), "--set"),
        (words.settings_of(["laese=30s"]), "--set"),
        (words.settings_of([], queues="a=x"), "--queues"),
        (words.settings_of([], shutdown_timeout="8"), "--shutdown-timeout"),
        (words.settings_of([], strict_priority="x"), "--strict"),
        (words.settings_of(["queues=a=x"], queues="a"), "--set"),
    ],
)
def test_an_error_names_the_option_of_the_command_line(line: CommandLine, source: str) -> None:
    with pytest.raises(ConfigError, match=rf"\(from {source}\)"):
        Settings(concurrency=3).updated_by(line)


def test_settings_of_a_command_line_win_over_the_code_and_are_kept() -> None:
    settings = Settings(concurrency=3, lease="20s").updated_by(words.settings_of(["concurrency=5"]))

    later = settings.updated(heartbeat="1s")

    assert (later.worker.concurrency, later.worker.lease, later.worker.heartbeat) == (
        5,
        timedelta(seconds=20),
        timedelta(seconds=1),
    )
    sources = [later.source_of(name) for name in ("concurrency", "lease", "heartbeat", "url")]
    assert sources == ["--set", "code", "code", "default"]
