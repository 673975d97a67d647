"""Processes that have done their time are replaced, and there are as many as the load wants."""

from collections import Counter

import pytest

from tests.integration.supervisor.conftest import Shift, alive
from tests.servers.process import wait_until


def test_processes_are_replaced_after_so_many_tasks_and_under_load_nothing_is_lost(shift: Shift) -> None:
    shift.start(processes=2, concurrency=10, process_max_tasks=200).ready(2)

    ids = shift.enqueue("count", 500)
    for _ in range(20):  # one process may run most of them, and is then the only one to be replaced
        shift.wait_for("end", len(ids), 40)
        if shift.log.read_text().count("is replaced: it has run") >= 2:
            break
        ids += shift.enqueue("count", 200)

    shift.wait_for("end", len(ids), 40)
    runs = Counter(event.id for event in shift.events("end"))
    assert set(runs) == set(ids)
    assert set(runs.values()) == {1}
    shift.says("is replaced: it has run", 2)
    shift.ready(4)
    wait_until(lambda: shift.size("active") == 0)  # a task says that it ends before that is recorded
    assert shift.redis.get("rota:{default}:crashed") is None


def test_a_process_that_is_replaced_ends_what_it_runs(shift: Shift) -> None:
    shift.start(processes=1, concurrency=10, process_max_age="2s", shutdown_timeout="0s").ready()
    shift.enqueue("wait", seconds=3.5)
    [start] = shift.wait_for("start", 1)

    shift.says("is replaced: it is", 1)
    shift.ready(2)

    [end] = shift.wait_for("end", 1)
    assert end.pid == start.pid
    wait_until(lambda: not alive(start.pid))


def test_a_process_whose_memory_has_grown_is_replaced(shift: Shift) -> None:
    shift.start(processes=1, process_max_rss_mb=300).ready()
    [before] = shift.children()

    shift.enqueue("eat", mib=400)

    shift.says("its memory has grown to")
    wait_until(lambda: not alive(before))
    wait_until(lambda: len(shift.children()) == 1)


@pytest.mark.slow
def test_the_fleet_grows_with_the_load_and_shrinks_after(shift: Shift) -> None:
    shift.start(processes="1..3", concurrency=2, scale_up_after="300ms", scale_down_after="1s").ready()

    shift.enqueue("wait", 30, seconds=1.5)

    wait_until(lambda: len(shift.children()) == 3)
    shift.wait_for("end", 30, seconds=60)
    wait_until(lambda: len(shift.children()) == 1, 30)
    assert set(Counter(event.id for event in shift.events("end")).values()) == {1}
    assert shift.redis.get("rota:{default}:crashed") is None
