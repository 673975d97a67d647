"""A process that lives keeps its tasks, whatever it does to its interpreter."""

import time

from tests.integration.supervisor.conftest import Shift
from tests.servers.process import wait_until


def test_a_task_that_never_releases_the_interpreter_keeps_its_lease_and_its_process_stays_on_the_list(
    shift: Shift,
) -> None:
    shift.start(processes=2, concurrency=5).ready(2)
    shift.enqueue("wait", 4, seconds=0.5)  # time enough to say that it is ready
    shift.wait_for("end", 4)
    wait_until(lambda: len(shift.redis.keys("asynq:servers:*")) == 2)  # from its first beat on
    servers = set(shift.redis.keys("asynq:servers:*"))

    # More than a lease of 5 s, its slack, and a turn of the recovery. A record lives for 10 s after its last beat.
    [task] = shift.enqueue("hold", seconds=12)
    [start] = [event for event in shift.wait_for("start", 5) if event.id == task]

    deadline = time.monotonic() + 11
    wait_until(lambda: time.monotonic() > deadline or set(shift.redis.keys("asynq:servers:*")) != servers)
    assert set(shift.redis.keys("asynq:servers:*")) == servers
    [end] = [event for event in shift.wait_for("end", 5, seconds=30) if event.id == task]
    assert end.at - start.at > 10
    assert len(shift.events("start")) == 5
    assert shift.field(task, "rota_crashes") is None
    shift.says(f"The last heartbeat of worker process {end.pid} was")
