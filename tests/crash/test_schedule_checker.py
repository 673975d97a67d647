"""The checker of the schedulers' scene finds each kind of fault, and excuses what may happen around an edit."""

from dataclasses import replace
from typing import Any

import pytest

from tests.crash.schedules.checker import Enqueued, Evidence, Span, StoredRun, Verdict, check
from tests.crash.schedules.versions import INTERVAL, Version, Written, seconds_of

START = 1_000_020  # a whole minute
EACH = "* * * * * *"


def version(number: int, at: float, spec: str = EACH, queue: str = "q", *, enabled: bool = True) -> Version:
    definition = {"specs": [spec], "queue": queue, "enabled": enabled}
    return Version(number, START + at, START + at + 0.1, definition)


def deletion(number: int, at: float) -> Version:
    return Version(number, START + at, START + at + 0.1, None)


def task(second: float, number: int = 0, queue: str = "q", at: float | None = None) -> Enqueued:
    planned_ms = round((START + second) * 1000)
    at = START + (second + 0.01 if at is None else at)
    return Enqueued(f"s-{planned_ms}", "s", planned_ms, queue, number, at)


def skip(first: int, last: int, reason: str = "missed") -> StoredRun:
    planned, until = ((START + second) * 1000 for second in (first, last))
    return StoredRun(f"s-{planned}", "s", planned, until, "", (), reason)


def judged(versions: list[Version], tasks: list[Enqueued], *skips: StoredRun, **more: Any) -> Verdict:
    """The verdict on a schedule whose tasks are all recorded, up to the tenth second."""
    runs = {
        each.id: StoredRun(each.id, "s", each.planned_ms, each.planned_ms, each.queue, (each.id,), "") for each in tasks
    }
    words = {"until": START + 10, "runs": [*runs.values(), *skips], **more}
    return check(Evidence([Written("s", versions)], tasks, **words))


WELL = [task(second) for second in range(1, 11)]


def kinds(verdict: Verdict) -> set[str]:
    return {fault.partition(":")[0] for fault in verdict.faults}


def test_run_without_a_fault_is_counted() -> None:
    verdict = judged([version(0, 0.2)], [*WELL[:4], *WELL[6:]], skip(5, 6))

    assert verdict.faults == []
    assert (verdict.planned, verdict.enqueued, verdict.skipped) == (10, 8, {"missed": 2})


@pytest.mark.parametrize(
    ("tasks", "kind"),
    [
        ([*WELL[:4], *WELL[5:]], "missing"),
        ([*WELL, task(5, at=6.5)], "doubled"),
        ([*WELL, replace(WELL[4], queue="p")], "doubled"),
        ([*WELL, task(4.5)], "invented"),
        ([*WELL[:4], task(5, queue="p"), *WELL[5:]], "invented"),
        ([*WELL[:4], task(5, number=1), *WELL[5:]], "invented"),
        ([*WELL, replace(task(11), schedule="x")], "invented"),
    ],
)
def test_fault_among_the_tasks_is_found(tasks: list[Enqueued], kind: str) -> None:
    assert kind in kinds(judged([version(0, 0.2)], tasks))


def test_task_of_a_time_that_was_skipped_is_doubled() -> None:
    assert kinds(judged([version(0, 0.2)], WELL, skip(3, 3))) == {"doubled"}


def test_task_without_a_run_and_run_without_a_task_are_found() -> None:
    assert kinds(judged([version(0, 0.2)], WELL, runs=[])) == {"unrecorded"}
    late = task(10)
    runs = [StoredRun(each.id, "s", each.planned_ms, each.planned_ms, "q", (each.id,), "") for each in (*WELL, late)]
    assert kinds(judged([version(0, 0.2)], WELL[:-1], runs=runs)) == {"missing"}


def test_around_an_edit_both_versions_may_rule() -> None:
    versions = [version(0, 0.2), version(1, 4.5, "*/2 * * * * *", "p")]
    by_the_old_one = [*WELL[:5], task(6, 1, "p"), task(8, 1, "p"), task(10, 1, "p")]
    by_the_new_one = [*WELL[:4], task(6, 1, "p"), task(8, 1, "p"), task(10, 1, "p")]

    assert judged(versions, by_the_old_one).faults == []
    assert judged(versions, by_the_new_one).faults == []
    assert kinds(judged(versions, [*by_the_old_one[:5], *by_the_old_one[6:]])) == {"missing"}  # both plan it
    assert kinds(judged(versions, [*by_the_old_one, task(9)])) == {"invented"}


def test_frozen_scheduler_may_fire_what_it_knew_when_it_thaws() -> None:
    versions = [version(0, 0.2), version(1, 2.5, enabled=False)]

    assert kinds(judged(versions, WELL[:8])) == {"invented"}
    assert judged(versions, WELL[:8], freezes=[Span(START + 1, START + 8)]).faults == []


def test_deleted_schedule_does_not_fire() -> None:
    versions = [version(0, 0.2), deletion(1, 2.5)]

    assert judged(versions, WELL[:2]).faults == []
    assert kinds(judged(versions, WELL)) == {"invented"}


def test_interval_has_a_time_each_second_from_its_creation_on() -> None:
    versions = [version(0, 0.2, f"{INTERVAL}1s")]
    times = [task(second + 0.25) for second in range(10)]

    assert judged(versions, times[1:]).faults == []
    assert kinds(judged(versions, [*times[1:5], *times[6:]])) == {"missing"}
    assert kinds(judged(versions, times[2:])) == {"missing"}


def test_what_a_failover_forgot_is_counted_and_nothing_else_is_excused() -> None:
    failover = [Span(START + 4, START + 5)]

    verdict = judged([version(0, 0.2)], [*WELL[:3], *WELL[4:]], failovers=failover)
    assert (verdict.faults, verdict.forgotten) == ([], 1)
    assert kinds(judged([version(0, 0.2)], WELL[:-1], failovers=failover)) == {"missing"}
    assert kinds(judged([version(0, 0.2)], [*WELL, WELL[3]], failovers=failover)) == {"doubled"}


def test_seconds_of_an_expression() -> None:
    assert seconds_of("*/20 * * * * *") == {0, 20, 40}
    assert seconds_of("3,5 * * * * *") == {3, 5}
    assert seconds_of(EACH) == set(range(60))


def test_longer_interval_has_its_own_steps() -> None:
    versions = [version(0, 0.2, f"{INTERVAL}3s")]

    assert judged(versions, [task(2.25), task(5.25), task(8.25)]).faults == []
    assert kinds(judged(versions, [task(2.25), task(8.25)])) == {"missing"}
