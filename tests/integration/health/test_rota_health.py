"""`rota health` and the supervisor's port, as programs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rota.cli.program import program
from rota.health.discovery import ProbeReply, ask_socket, sockets
from tests.integration.supervisor.conftest import ROOT, Shift
from tests.servers.process import free_port, wait_until

LONG = timedelta(seconds=10)


class Ward:
    """A shift of workers, and the probe that looks after them."""

    def __init__(self, shift: Shift, folder: Path) -> None:
        self.shift = shift
        self.folder = folder

    def start(self, *words: str, **settings: object) -> "Ward":
        self.shift.start(*words, health_dir=self.folder, **settings)
        return self

    def probe(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "rota.cli", "health", *words],
            cwd=ROOT,
            env={**os.environ, "ROTA_HEALTH_DIR": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=40,
        )
        [line] = (done.stdout + done.stderr).splitlines()
        return done.returncode, line

    def ask_here(self, *words: str) -> tuple[int, str]:
        """The answer of the probe, which runs in this process."""
        done = CliRunner().invoke(program, ["health", *words], env={"ROTA_HEALTH_DIR": str(self.folder)})
        [line] = done.output.splitlines()
        return done.exit_code, line

    def ask(self, question: str) -> ProbeReply:
        found: list[ProbeReply] = []

        def answered() -> bool:
            for pid, path in sockets(self.folder):
                assert pid == self.shift.process.pid
                if (reply := ask_socket(path, question, LONG)) is not None:
                    found.append(reply)
            return bool(found)

        wait_until(answered)  # a worker may be ready before its supervisor answers
        return found[0]


@pytest.fixture
def ward(redis_url: str, tmp_path: Path) -> Iterator[Ward]:
    shift = Shift(redis_url, tmp_path)
    yield Ward(shift, tmp_path / "health")
    shift.close()
    sys.stdout.write(shift.log.read_text())


def test_the_probe_answers_for_all_processes_of_a_supervisor_and_its_port_is_not_taken_from_it(ward: Ward) -> None:
    port = free_port()
    ward.start("--processes", "2", health_port=port).shift.ready(2)
    wait_until(lambda: ward.ask("/ready").text.count(" ready") == 2)

    code, line = ward.probe()

    assert (code, line.startswith("ok: worker "), line.count(" ready")) == (0, True, 2)
    assert ward.ask_here("--live", "--worker", str(ward.shift.process.pid))[0] == 0
    assert ward.ask_here("--address", f"127.0.0.1:{port}", "--url", ward.shift.url)[1].endswith("the broker answers")
    assert ward.ask_here("--url", f"redis://127.0.0.1:{free_port()}")[0] == 1
    assert ward.ask_here("--worker", "1") == (
        1,
        f"not ok: no worker with the process ID 1 answers on this machine (looked in {ward.folder})",
    )

    # A second worker on the same port.
    done = subprocess.run(
        [sys.executable, "-m", "rota.cli", "worker", "tests.integration.supervisor.shift:app", "--no-banner"],
        cwd=ROOT,
        env={
            **os.environ,
            "ROTA_URL": ward.shift.url,
            "ROTA_HEALTH_PORT": str(port),
            "ROTA_HEALTH_DIR": str(ward.folder),
        },
        capture_output=True,
        text=True,
        timeout=40,
    )

    assert done.returncode == 2
    assert f"The health port 127.0.0.1:{port} cannot be opened" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_supervisor_leaves_a_socket_that_counts_for_nothing(ward: Ward) -> None:
    ward.start().shift.ready()
    wait_until(lambda: ward.ask("/ready").status == 200)
    ward.shift.process.kill()
    ward.shift.process.wait(10)

    assert len(list(sockets(ward.folder))) == 1
    assert ward.ask_here()[0] == 1


def test_a_stopped_worker_takes_its_socket_with_it(ward: Ward) -> None:
    ward.start("--no-supervisor").shift.ready()
    wait_until(lambda: ward.ask("/ready").status == 200)

    assert ward.shift.stop() == 0
    assert list(sockets(ward.folder)) == []


def test_a_held_interpreter_shows_and_what_dead_processes_counted_stays_with_their_death(ward: Ward) -> None:
    ward.start(max_crashes=1).shift.ready()
    # A call into C that holds the interpreter shows through the supervisor.
    ward.shift.enqueue("hold", 1, seconds=6)
    wait_until(lambda: "it has held the interpreter for" in ward.ask("/live").text)
    assert ward.ask("/live").status == 200

    ward.shift.enqueue("count", 5)
    wait_until(lambda: "rota_outcomes_recorded_total 6.0" in ward.ask("/metrics").text)

    ward.shift.enqueue("die", 1, how="kill")

    wait_until(lambda: "rota_process_crashes_total 1.0" in ward.ask("/metrics").text)
    ward.shift.ready(2)
    wait_until(lambda: ward.ask("/ready").status == 200)
    text = ward.ask("/metrics").text
    assert "rota_process_starts_total 2.0" in text
    assert "rota_outcomes_recorded_total 6.0" in text
    wait_until(lambda: 'rota_tasks_returned_total{how="quarantined"} 1.0' in ward.ask("/metrics").text)
    assert 'rota_tasks_returned_total{how="pending"} 0.0' in ward.ask("/metrics").text
