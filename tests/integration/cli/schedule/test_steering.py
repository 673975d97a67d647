"""Starting, stopping, pausing and holding: idempotent in any state, and a hold wakes only what was started."""

import pytest

from tests.integration.cli.schedule.conftest import Run


def states(rota: Run) -> dict[str, str]:
    return {row["definition"]["name"]: row["state"] for row in rota("list", "--json").json}


@pytest.fixture
def two(rota: Run) -> Run:
    rota("add", "a", "t", "--spec", "@daily", "--tag", "x")
    rota("add", "b", "t", "--spec", "@daily")
    return rota


def test_stop_and_start_may_be_repeated(two: Run) -> None:
    assert two("stop", "a", "--note", "holiday").out == "Stopped 'a'.\n"
    assert two("stop", "a", "--note", "holiday").out == "Stopped 0 schedules; unchanged: 1.\n"
    assert states(two) == {"a": "paused", "b": "scheduled"}
    assert "holiday" in two("show", "a").out
    assert two("start", "a").out == "Started 'a'.\n"
    assert two("start", "a").code == 0
    assert states(two) == {"a": "scheduled", "b": "scheduled"}


def test_pause_ends_by_itself_or_by_start(two: Run) -> None:
    two("pause", "a", "--for", "2h")
    assert states(two)["a"] == "paused"
    two("start", "a")
    assert states(two)["a"] == "scheduled"


def test_restart_starts_a_stopped_schedule_and_one_that_runs(two: Run) -> None:
    two("stop", "a")
    assert two("restart", "a", "b").out.startswith("Restarted 2 schedules")
    assert states(two) == {"a": "scheduled", "b": "scheduled"}


def test_restart_of_all_leaves_what_is_stopped(two: Run) -> None:
    two("stop", "a")
    assert "Restart 1 schedule?" in two("restart", "--all", typed="y\n").err
    assert states(two) == {"a": "paused", "b": "scheduled"}


def test_hold_stops_all_and_lifting_it_wakes_only_what_was_started(two: Run) -> None:
    two("stop", "a")
    assert two("stop", "--all", "--note", "move", "--yes").code == 0
    listed = two("list")
    assert "All schedules are stopped by anna@" in listed.err
    assert ": move." in listed.err
    assert states(two) == {"a": "paused", "b": "paused"}
    assert two("start", "--all").out == "The hold is lifted.\n"
    assert states(two) == {"a": "paused", "b": "scheduled"}
    assert "There is no hold" in two("start", "--all").out


def test_hold_asks_first(two: Run) -> None:
    assert two("hold", typed="n\n").code == 1
    assert states(two)["b"] == "scheduled"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pause", "a"), "Until when?"),
        (("pause", "a", "--for", "2h", "--until", "2100-01-01T00:00"), "give one of them"),
        (("pause", "a", "--until", "2020-01-01T00:00"), "in the past"),
        (("stop", "c"), "no schedule 'c'"),
        (("start",), "Which schedules?"),
    ],
)
def test_mistake_is_refused(two: Run, words: tuple[str, ...], said: str) -> None:
    refused = two(*words)
    assert refused.code in (1, 2)
    assert said in refused.err.replace("\n", " ")
    assert states(two) == {"a": "scheduled", "b": "scheduled"}
