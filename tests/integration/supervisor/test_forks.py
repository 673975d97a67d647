"""Tasks that fork: the fork neither stops its worker, nor answers for it, nor goes on as a second one."""

import os
import signal

import pytest

from tests.integration.supervisor.conftest import Shift, alive
from tests.servers.process import wait_until


def test_processes_forked_in_a_thread_and_ended_by_term_do_not_stop_the_worker(shift: Shift) -> None:
    shift.start(processes=1, concurrency=3).ready()
    [worker] = shift.children()

    shift.enqueue("pool", 6)

    assert len(shift.wait_for("end", 6, 60)) == 6
    assert len(shift.events("sum-45")) == 6
    shift.enqueue("count")
    shift.wait_for("end", 7)
    assert shift.children() == [worker]
    assert "Stopping" not in shift.log.read_text()


@pytest.mark.parametrize("where", ["thread", "process", "loop"])
def test_a_fork_ends_with_its_function_and_the_task_ends_once(shift: Shift, where: str) -> None:
    shift.start(processes=1, concurrency=3).ready()
    acts = ["return", "exit", "fail", *(["await"] if where == "loop" else [])]

    for act in acts:
        shift.enqueue(f"fork_in_{where}" if where != "loop" else "fork_on_loop", act=act)
    shift.wait_for("end", len(acts), 60)
    shift.enqueue("count", 3)
    shift.wait_for("end", len(acts) + 3)

    wait_until(lambda: shift.size("active") == 0)
    assert shift.events("goes-on") == []
    assert len(shift.events("end")) == len(acts) + 3
    assert shift.size("archived") == shift.size("retry") == 0


def test_a_worker_that_stopped_without_an_order_and_does_not_exit_is_replaced(shift: Shift) -> None:
    shift.start(processes=1, concurrency=3).ready()
    [worker] = shift.children()
    shift.enqueue("thread")
    shift.wait_for("start", 1)

    os.kill(worker, signal.SIGTERM)

    shift.ready(2)
    assert not alive(worker)
    shift.enqueue("count")
    shift.wait_for("end", 1)
