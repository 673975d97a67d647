"""Live and ready, judged from vital signs."""

from dataclasses import replace

import pytest

from rota.health.process_status import ProcessStatus, live, ready

NOW = 1000.0
WELL = ProcessStatus(worker="w", pid=7, status="active", taken_at=NOW, beat_at=NOW - 3, turned_at=NOW - 0.3, slots=5)


def test_a_worker_that_is_well_is_live_and_ready() -> None:
    assert live([WELL], NOW) == (True, ["worker 7 live"])
    assert ready([WELL], NOW) == (True, ["worker 7 ready"])


def test_before_the_first_process_reports_it_is_live_and_not_ready() -> None:
    assert live([], NOW).holds
    assert ready([], NOW) == (False, ["not ready: starting"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "new"}, "starting"),
        ({"status": "stopped"}, "asked to take no more tasks"),
        ({"status": "closed"}, "stopping"),
        ({"beat_at": NOW - 13}, "the broker has not been reached for 13 s"),
        ({"fetch_lost_at": NOW - 13}, "no tasks could be taken for 13 s"),
        ({"record_lost_at": NOW - 14}, "no outcome could be recorded for 14 s"),
        ({"turned_at": NOW - 20}, "the event loop has been blocked for 20 s"),
        ({"taken_at": NOW - 15}, "the event loop has been blocked for 15 s"),
    ],
)
def test_what_keeps_a_worker_from_its_work_makes_it_unready_and_leaves_it_alive(
    change: dict[str, float], why: str
) -> None:
    ill = replace(WELL, **change)  # type: ignore[arg-type]

    assert ready([ill], NOW) == (False, [f"worker 7 not ready: {why}"])
    assert live([ill], NOW).holds


@pytest.mark.parametrize("name", ["beat_at", "fetch_lost_at", "record_lost_at"])
def test_a_short_trouble_does_not_make_it_unready(name: str) -> None:
    assert ready([replace(WELL, **{name: NOW - 11})], NOW).holds  # type: ignore[arg-type]


def test_one_ready_process_is_enough_and_the_others_are_named() -> None:
    judged = ready([WELL, replace(WELL, pid=8, status="stopped")], NOW)

    assert judged.holds
    assert judged.lines == ["worker 7 ready", "worker 8 not ready: asked to take no more tasks"]


def test_one_process_that_cannot_fetch_makes_all_of_them_unready() -> None:
    judged = ready([WELL, replace(WELL, pid=8, fetch_lost_at=NOW - 20)], NOW)

    assert not judged.holds
    assert judged.lines == ["worker 7 ready", "worker 8 not ready: no tasks could be taken for 20 s"]


def test_a_blocked_loop_is_named_and_lives_until_the_limit() -> None:
    blocked = replace(WELL, turned_at=NOW - 5, blocked_by="task x (a:b) in queue q")

    assert live([blocked], NOW) == (
        True,
        ["worker 7 live: its event loop has been blocked for 5.0 s by task x (a:b) in queue q"],
    )
    assert not live([WELL, replace(blocked, turned_at=NOW - 601)], NOW).holds


def test_a_process_that_reports_nothing_holds_its_interpreter() -> None:
    silent = replace(WELL, taken_at=NOW - 9, turned_at=NOW - 9)

    assert live([silent], NOW).lines == ["worker 7 live: it has held the interpreter for 9.0 s (a call into C?)"]
    assert not live([replace(silent, taken_at=NOW - 601)], NOW).holds


def test_fleet_is_ready_only_if_a_process_of_each_kind_is() -> None:
    clock = replace(WELL, kind="clock", pid=8)

    assert ready([WELL, clock], NOW) == (True, ["worker 7 ready", "clock 8 ready"])
    starting = replace(clock, pid=0, status="new")
    assert ready([WELL, starting], NOW) == (False, ["worker 7 ready", "clock not ready: starting"])
    assert live([WELL, starting], NOW) == (True, ["worker 7 live", "clock live"])
