"""Signals: one stops gently, the second at once, and what was running goes back."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.supervisor.conftest import Shift, alive
from tests.servers.process import Server, wait_until


@pytest.fixture
def own_server() -> Iterator[Server]:
    server = Server().start()
    yield server
    server.stop()


def test_term_to_every_process_at_once_as_systemd_sends_it_still_lets_end_what_runs(shift: Shift) -> None:
    shift.start(processes=2, concurrency=5, shutdown_timeout="20s").ready(2)
    shift.enqueue("wait", 4, seconds=2)
    shift.enqueue("apart", 1, seconds=2)
    shift.wait_for("start", 5)

    for pid in [*shift.grandchildren(), *shift.children(), shift.process.pid]:
        os.kill(pid, signal.SIGTERM)

    assert shift.process.wait(20) == 0
    assert len(shift.events("end")) == 5
    assert shift.size("active") == shift.size("pending") == shift.size("archived") == 0


def test_two_interrupts_stop_at_once_and_hand_back_to_the_front(shift: Shift) -> None:
    shift.start(processes=2, concurrency=5, shutdown_timeout="60s").ready(2)
    [task] = shift.enqueue("wait", seconds=600)
    shift.wait_for("start", 1)

    shift.send(signal.SIGINT)
    shift.says("Stopping: the worker takes no more tasks")
    shift.send(signal.SIGINT)

    assert shift.process.wait(20) == 0
    assert shift.size("pending") == 1
    assert shift.field(task, "rota_crashes") is None


def test_a_third_one_ends_all_by_force_and_nothing_is_lost(shift: Shift) -> None:
    shift.start(processes=1, concurrency=5, shutdown_timeout="60s").ready()
    [task] = shift.enqueue("hold", seconds=60)  # no signal handler of Python's gets a word in
    shift.wait_for("start", 1)
    [child] = shift.children()

    for _ in range(3):
        shift.send(signal.SIGINT)
        wait_until(lambda: not pending_interrupt(shift.process.pid))

    assert shift.process.wait(20) == 130
    assert not alive(child)
    assert shift.size("pending") == 1
    assert shift.field(task, "rota_crashes") is None


@pytest.mark.parametrize(("kind", "interrupts", "code"), [("", 1, 0), ("wait", 2, 0), ("hold", 3, 130)])
def test_interrupts_end_it_also_while_the_server_does_not_answer(
    own_server: Server, tmp_path: Path, kind: str, interrupts: int, code: int
) -> None:
    """No wait for an answer holds it up: each of them would last for a thousand seconds."""
    shift = Shift(own_server.unix_url, tmp_path)
    shift.start(processes=1, shutdown_timeout="1000s", response_timeout="1000s", retry_for="1000s").ready()
    [child] = shift.children()
    if kind:
        shift.enqueue(kind, seconds=600)
        shift.wait_for("start", 1)
    try:
        own_server.freeze()
        for _ in range(interrupts):
            shift.send(signal.SIGINT)
            wait_until(lambda: not pending_interrupt(shift.process.pid))
        assert shift.process.wait(40) == code
        assert not alive(child)
    finally:
        own_server.thaw()
        shift.close()


def test_tstp_takes_no_more_tasks_and_finishes_what_runs_also_after_a_term(shift: Shift) -> None:
    shift.start(processes=2, concurrency=5, shutdown_timeout="20s").ready(2)
    shift.enqueue("wait", seconds=1)
    shift.enqueue("wait", 4, seconds=5)
    shift.wait_for("start", 5)

    shift.send(signal.SIGTSTP)
    wait_until(lambda: [status(record) for record in records(shift)] == ["stopped", "stopped"])
    shift.enqueue("count")

    shift.wait_for("end", 1)
    assert shift.size("pending") == 1
    assert shift.stop() == 0
    assert len(shift.events("end")) == 5
    assert (shift.size("active"), shift.size("pending")) == (0, 1)


def test_a_process_that_does_not_stop_is_killed_and_its_task_handed_back(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift.start(processes=1, concurrency=5, shutdown_timeout="0s").ready()
    [task] = shift.enqueue("hold", seconds=120)
    shift.wait_for("start", 1)

    assert shift.stop(seconds=40) == 1  # 15 s after the time that it had

    assert shift.size("pending") == 1
    assert shift.field(task, "rota_crashes") is None


@pytest.mark.parametrize("kind", ["thread", "pool_thread", "stubborn"])
def test_what_keeps_the_interpreter_from_its_exit_does_not_keep_the_process(shift: Shift, kind: str) -> None:
    shift.start(processes=1, concurrency=5, shutdown_timeout="0s").ready()
    shift.enqueue(kind)
    shift.wait_for("start", 1)

    assert shift.stop(seconds=40) == 0

    assert "ends without waiting any longer" in shift.log.read_text()
    assert "it is killed" not in shift.log.read_text()


def test_an_app_that_ignores_children_and_breaks_logging_is_stopped_gently(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFT_IGNORES_CHILDREN", "1")
    monkeypatch.setenv("SHIFT_BREAKS_LOGGING", "1")
    shift.start(processes=1, concurrency=5, shutdown_timeout="20s")
    shift.enqueue("apart", seconds=1)
    shift.wait_for("start", 1)
    shift.enqueue("apart", seconds=0)
    shift.wait_for("start", 2)

    assert shift.stop(seconds=40) == 0

    assert len(shift.events("end")) == 2
    assert shift.size("active") == shift.size("pending") == shift.size("archived") == 0
    assert "it is killed" not in shift.log.read_text()


def test_a_task_that_has_the_worker_ignore_the_end_of_processes_does_not_hold_up_the_stop(shift: Shift) -> None:
    shift.start(processes=1, concurrency=5, shutdown_timeout="2s").ready()
    shift.enqueue("ignore_children")
    shift.wait_for("start", 1)
    shift.enqueue("apart", seconds=600)
    shift.wait_for("start", 2)

    assert shift.stop(seconds=40) == 0

    assert shift.size("pending") == 1
    assert "without waiting any longer" not in shift.log.read_text()


@pytest.mark.slow
def test_a_machine_that_was_frozen_while_it_stopped_has_the_time_that_is_left(shift: Shift) -> None:
    shift.start(processes=1, concurrency=5, shutdown_timeout="2s").ready()
    [task] = shift.enqueue("wait", seconds=600)
    shift.wait_for("start", 1)

    shift.send(signal.SIGTERM)
    shift.says("Stopping: the worker takes no more tasks")
    shift.stand_still(18)  # more than the 2 s, and the 15 s after which a process is killed

    assert shift.process.wait(20) == 0
    assert "does not stop" not in shift.log.read_text()
    assert shift.size("pending") == 1
    assert shift.field(task, "rota_crashes") is None


def test_passwords_are_on_no_command_line(shift: Shift) -> None:
    shift.start(password="geheim", processes=1)
    # Between fork and exec it is still the command that somebody typed.
    wait_until(lambda: any(b"rota.cli.child" in command_line(pid) for pid in shift.children()))

    assert b"geheim" not in command_line(shift.children()[0])


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def records(shift: Shift) -> list[bytes]:
    keys = shift.redis.keys("asynq:servers:*")
    return [shift.redis.execute_command("GET", key, NEVER_DECODE=True) for key in keys]


def status(record: bytes) -> str:
    from rota.wire.server_record import unpack_server

    return unpack_server(record).status


def pending_interrupt(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [mask] = [line.split()[1] for line in lines if line.startswith("ShdPnd")]
    return bool(int(mask, 16) & (1 << (signal.SIGINT - 1)))
