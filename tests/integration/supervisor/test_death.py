"""Worker processes that die: what they held is back at once, and no retry is spent."""

import os
import signal
import statistics
import sys
import time
from pathlib import Path

import pytest

from rota.wire.attempts import records
from tests.integration.supervisor.conftest import Shift, alive
from tests.servers.process import wait_until


def test_a_killed_process_gives_all_its_tasks_back_at_once_and_no_retry_is_spent(shift: Shift) -> None:
    # By their leases they would come back after two minutes.
    shift.start(processes=2, concurrency=30, lease="2m").ready(2)
    ids = shift.enqueue("wait", 60, seconds=60)
    started = shift.wait_for("start", 60)
    victim = shift.busiest()
    lost = {event.id for event in started if event.pid == victim}
    assert len(lost) == 30

    os.kill(victim, signal.SIGKILL)
    killed_at = time.time()

    again = shift.wait_for("start", 90)[60:]
    times = sorted(event.at - killed_at for event in again)
    sys.stdout.write(f"restarted: median {statistics.median(times):.2f} s, max {times[-1]:.2f} s\n")
    assert {event.id for event in again} == lost  # nobody else's
    assert times[-1] <= 30
    assert {shift.field(task_id, "rota_crashes") for task_id in lost} == {"1"}
    assert {shift.field(task_id, "rota_crashes") for task_id in set(ids) - lost} == {None}
    assert shift.redis.get("rota:{default}:crashed") == "30"
    assert shift.redis.get("asynq:{default}:failed") is None


DEAF_TO_CHILDREN = ("env", "--ignore-signal=CHLD")
"""Starts a supervisor as a parent does that does not want to hear of the end of its children."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("how", "words", "processes", "launcher"),
    [
        ("exit", "ended with exit code 0", 2, ()),
        ("segfault", "SIGSEGV", 1, ()),
        ("memory", "SIGKILL", 1, DEAF_TO_CHILDREN),
    ],
)
def test_a_task_that_takes_its_process_down_three_times_is_quarantined_and_others_go_on(
    shift: Shift, how: str, words: str, processes: int, launcher: tuple[str, ...]
) -> None:
    shift.launcher = launcher
    shift.start(processes=processes, concurrency=5).ready(processes)

    [poison] = shift.enqueue("die", how=how)

    wait_until(lambda: shift.field(poison, "state") == "archived", 50)
    assert shift.field(poison, "rota_end") == "quarantined"
    assert shift.field(poison, "rota_crashes") == "3"
    assert len(shift.events("start")) == 3
    attempts = records((shift.field(poison, "rota_attempts") or "").encode())
    assert [(each["n"], each["outcome"]) for each in attempts] == [(1, "crashed"), (2, "crashed"), (3, "crashed")]
    assert {each["pid"] for each in attempts} == {event.pid for event in shift.events("start")}
    assert all(words in each["error"] and each["host"] and each["started"] <= each["ended"] for each in attempts)
    [good] = shift.enqueue("count")
    assert shift.wait_for("end", 1)[0].id == good
    message = shift.redis.execute_command("HGET", f"asynq:{{default}}:t:{poison}", "msg", NEVER_DECODE=True)
    for fact in ("3 workers died", words, "MiB", "process"):
        assert fact.encode() in message


@pytest.mark.timeout(120)
def test_neighbours_of_a_task_that_takes_its_process_down_are_not_put_into_quarantine_with_it(shift: Shift) -> None:
    shift.start(processes=1, concurrency=20).ready()
    good = shift.enqueue("wait", 6, seconds=2)
    shift.wait_for("start", 6)

    [poison] = shift.enqueue("die", how="kill")

    wait_until(lambda: shift.field(poison, "rota_end") == "quarantined", 80)
    ended = shift.wait_for("end", 6, seconds=40)
    assert {event.id for event in ended} == set(good)
    assert shift.size("archived") == 1


def test_a_process_that_hangs_is_killed_where_that_is_wanted(shift: Shift) -> None:
    shift.start(processes=1, concurrency=5, process_hang_after="5s", max_crashes=1).ready()
    shift.enqueue("wait", seconds=0.5)
    shift.wait_for("end", 1)

    [task] = shift.enqueue("hold", seconds=600)

    wait_until(lambda: shift.field(task, "rota_end") == "quarantined")
    shift.says("has not sent a report for 5 s")
    shift.ready(2)


def test_a_process_that_does_not_come_up_is_replaced(
    shift: Shift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = tmp_path / "trouble"
    monkeypatch.setenv("SHIFT_LOADS_FOR_EVER_IF", str(trouble))
    # Long enough for a process to come to the app, also on a busy machine.
    shift.start(processes=1, concurrency=5, process_start_timeout="8s").ready()
    trouble.touch()

    os.kill(shift.children()[0], signal.SIGKILL)
    shift.says("loading for ever")
    trouble.unlink()

    shift.says("has not loaded its app for 8 s")
    shift.ready(2)


def test_when_the_supervisor_is_killed_its_processes_stop_and_hand_back_what_they_run(shift: Shift) -> None:
    shift.start(processes=2, concurrency=5, shutdown_timeout="100ms").ready(2)
    [task] = shift.enqueue("wait", seconds=600)
    shift.wait_for("start", 1)
    children = shift.children()

    shift.process.kill()
    shift.process.wait()

    wait_until(lambda: not any(alive(pid) for pid in children))
    assert shift.size("pending") == 1
    assert shift.field(task, "rota_crashes") is None


@pytest.mark.slow
def test_a_lost_group_of_supervisor_and_processes_comes_back_by_its_leases(shift: Shift) -> None:
    shift.start(processes=2, concurrency=100).ready(2)
    shift.enqueue("wait", 100, seconds=60)
    shift.wait_for("start", 100)
    group = [shift.process.pid, *shift.children()]

    for pid in group:
        os.kill(pid, signal.SIGKILL)
    killed_at = time.time()
    shift.process.wait()
    shift.start(processes=2, concurrency=100)

    again = shift.wait_for("start", 200, seconds=40)[100:]
    # A lease of 5 s, its slack of 1 s, and 10 s in which a new worker lets the others show that they live.
    assert max(event.at for event in again) - killed_at < 25
    assert shift.redis.get("rota:{default}:crashed") == "100"
    assert shift.redis.get("asynq:{default}:failed") is None


def test_the_last_words_of_a_process_that_died_while_its_supervisor_was_frozen_are_heard(
    shift: Shift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = shift.enqueue("wait", 5, seconds=60)
    monkeypatch.setenv("SHIFT_LOADS_UNTIL", str(tmp_path / "go on"))
    shift.start(processes=1, concurrency=5)
    # It loads the app, so it has got its orders; it introduces itself when the app is loaded.
    shift.says("loading until it is told")
    shift.send(signal.SIGSTOP)
    (tmp_path / "go on").touch()
    shift.wait_for("start", 5)

    os.kill(shift.children()[0], signal.SIGKILL)
    shift.send(signal.SIGCONT)

    shift.ready(2)
    shift.wait_for("start", 10)
    assert {shift.field(task_id, "rota_crashes") for task_id in ids} == {"1"}
    assert shift.stop() == 0
