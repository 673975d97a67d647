"""The event loop of a worker process, and tasks that would stop it."""

from tests.integration.supervisor.conftest import Shift
from tests.servers.process import wait_until


def test_task_that_stops_the_loop_of_a_worker_process_fails_and_the_process_goes_on(shift: Shift) -> None:
    shift.start(processes=1, concurrency=3).ready()
    [worker] = shift.children()

    shift.enqueue("stop_loop")
    wait_until(lambda: shift.size("archived") == 1)
    shift.enqueue("count")
    shift.wait_for("end", 1)

    assert shift.children() == [worker]
    assert "loop.stop()" in shift.log.read_text()
