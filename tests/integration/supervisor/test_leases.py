"""A process that lives keeps its tasks, whatever it does to its interpreter."""

import time

from tests.integration.supervisor.conftest import Shift
from tests.servers.process import wait_until


def test_a_task_that_never_releases_the_interpreter_keeps_its_lease_and_runs_once(shift: Shift) -> None:
    shift.start(processes=2, concurrency=5).ready(2)

    [task] = shift.enqueue("hold", seconds=11)  # more than a lease of 5 s, its slack, and a turn of the recovery

    [end] = shift.wait_for("end", 1, seconds=30)
    [start] = shift.events("start")
    assert end.at - start.at > 10
    assert shift.field(task, "rota_crashes") is None


def test_the_log_says_which_process_does_not_let_the_interpreter_go(shift: Shift) -> None:
    shift.start(processes=1, concurrency=5).ready()
    shift.enqueue("wait", seconds=0.5)  # time enough to say that it is ready
    shift.wait_for("end", 1)
    shift.enqueue("hold", seconds=6)
    [child] = shift.children()

    shift.says(f"The last heartbeat of worker process {child} was")


def test_a_process_that_cannot_beat_stays_on_the_list_of_servers(shift: Shift) -> None:
    shift.start(processes=1, concurrency=5).ready()
    wait_until(lambda: shift.redis.keys("asynq:servers:*"))  # from its first beat on
    servers = shift.redis.keys("asynq:servers:*")

    shift.enqueue("hold", seconds=12)
    shift.wait_for("start", 1)

    deadline = time.monotonic() + 11  # a record lives for 10 s after its last beat
    while time.monotonic() < deadline and not shift.events("end"):
        assert shift.redis.keys("asynq:servers:*") == servers
