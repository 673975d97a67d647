"""The options of one enqueue."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.errors import OptionError
from rota.tasks.options import NO_OPTIONS, Options
from rota.tasks.policy import Debounce, Unique

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_options_are_read_from_what_people_write() -> None:
    options = Options.of(timeout="30s", delay=5, unique="10m", retention="1h", max_retry=0)

    assert options.timeout == timedelta(seconds=30)
    assert options.delay == timedelta(seconds=5)
    assert options.unique == Unique("10m")
    assert options.max_retry == 0


def test_an_unknown_option_is_refused_with_a_suggestion() -> None:
    with pytest.raises(OptionError, match=r"no option 'quee'. Did you mean 'queue'"):
        Options.of(quee="a")


def test_later_options_win_and_headers_are_added() -> None:
    first = Options.of(queue="a", headers={"x": "1", "y": "1"})
    second = first.updated(queue="b", headers={"y": "2"})

    assert second.queue == "b"
    assert dict(second.headers) == {"x": "1", "y": "2"}
    assert dict(first.headers) == {"x": "1", "y": "1"}


def test_delay_and_process_at_replace_each_other() -> None:
    later = Options.of(delay="5m").updated(process_at=NOON)
    sooner = later.updated(delay="1s")

    assert (later.delay, later.process_at) == (None, NOON)
    assert (sooner.delay, sooner.process_at) == (timedelta(seconds=1), None)


def test_none_gives_an_option_back_to_its_default() -> None:
    assert Options.of(queue="a").updated(queue=None) == NO_OPTIONS


def test_only_what_was_said_is_listed() -> None:
    assert Options.of(queue="a", max_retry=0).words() == {"queue": "a", "max_retry": 0}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"queue": " "}, "more than white space"),
        ({"task_id": ""}, "more than white space"),
        ({"group": 5}, "must be a text"),
        ({"max_retry": -1}, "whole number"),
        ({"max_retry": 1.5}, "whole number"),
        ({"timeout": 0}, "timeout is 0s, but must be at least 1s"),
        ({"timeout": "30"}, "needs a unit"),
        ({"deadline": datetime(2030, 1, 1)}, "no time zone"),
        ({"process_at": "tomorrow"}, "must be a datetime"),
        ({"unique": "0s"}, "at least 1s"),
        ({"headers": {"a": 1}}, "travel as strings"),
        ({"delay": 1, "process_at": NOON}, "give one of them"),
        ({"timeout": "999ms"}, "timeout is 999ms, but must be at least 1s: the wire counts whole seconds"),
        ({"retention": 0.2}, "retention is 200ms, but must be at least 1s"),
        ({"debounce": Debounce("a", 1), "delay": 1}, "delay cannot be given"),
        ({"debounce": Debounce("a", 1), "task_id": "x"}, "task_id cannot be given"),
    ],
)
def test_what_is_wrong_or_in_conflict_is_refused(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        Options.of(**words)


def test_options_of_a_call_are_explicit_where_they_equal_the_defaults_of_asynq() -> None:
    declared = Options.of(timeout="30m", max_retry=25)

    assert declared.explicit == declared.updated(queue="low").explicit == ""
    assert declared.updated(timeout="30m").explicit == "timeout"
    assert declared.updated(timeout="30m").updated(delay="1s").explicit == "timeout"
    assert declared.updated(timeout="30m").updated(timeout=None).explicit == ""
    assert declared.updated(timeout="29m", max_retry=25).explicit == "max_retry"
    assert Options().updated(timeout=1800, max_retry=25).explicit == "max_retry timeout"
    assert Options().updated(timeout=1800.5, max_retry=24).explicit == ""


def test_declared_is_no_option() -> None:
    with pytest.raises(OptionError, match="no option 'declared'"):
        Options().updated(declared=frozenset())
    assert Options.of(timeout="30m").words() == {"timeout": timedelta(minutes=30)}


def test_options_are_comparable_and_hashable() -> None:
    assert len({Options.of(queue="a", headers={"x": "1"}), Options.of(queue="a", headers={"x": "1"})}) == 1
    of_a_call = [Options.of(queue="a", retention="1m").updated(delay="1s") for _ in range(2)]
    assert len(set(of_a_call)) == 1


def test_a_queue_whose_keys_would_spread_over_a_cluster_is_refused() -> None:
    with pytest.raises(OptionError, match="Cluster"):
        Options(queue="}x")
