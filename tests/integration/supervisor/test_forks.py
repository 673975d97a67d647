"""Tasks that fork: the fork neither stops its worker, nor answers for it, nor goes on as a second one."""

import os
import signal

from tests.integration.supervisor.conftest import Shift, alive
from tests.servers.process import wait_until


def test_forks_end_with_their_functions_and_the_end_of_one_by_term_does_not_stop_the_worker(shift: Shift) -> None:
    shift.start(processes=1, concurrency=3).ready()
    [worker] = shift.children()
    acts = ("return", "exit", "fail")
    forks = [(f"fork_{name}", act) for name in ("in_thread", "in_process", "on_loop") for act in acts]

    shift.enqueue("pool", 6)
    for kind, act in [*forks, ("fork_on_loop", "await")]:
        shift.enqueue(kind, act=act)
    ends = 6 + len(forks) + 1
    shift.wait_for("end", ends, 90)
    shift.enqueue("count", 3)
    shift.wait_for("end", ends + 3)

    wait_until(lambda: shift.size("active") == 0)
    assert len(shift.events("sum-45")) == 6
    assert shift.events("goes-on") == []
    assert len(shift.events("end")) == ends + 3
    assert shift.size("archived") == shift.size("retry") == 0
    assert shift.children() == [worker]
    assert "Stopping" not in shift.log.read_text()


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
