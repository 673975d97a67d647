"""`rota doctor --repair` examines, asks, repairs, and examines again."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from rota.cli.program import program
from rota.wire.keys import QueueKeys
from rota.wire.message import pack
from rota.wire.reconcile import MOST_SEARCHED
from tests.servers.process import Server
from tests.servers.roles import make_users, restricted

KEYS = QueueKeys("default")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(config={"appendonly": "yes"}).start()
    yield server
    server.stop()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Without the wait between finding and repair."""
    monkeypatch.setattr("rota.cli.doctor.DELAY", timedelta(0))
    monkeypatch.setenv("ROTA_URL", server.unix_url)
    monkeypatch.setenv("ROTA_HEARTBEAT", "10ms")


def damage(server: Server) -> None:
    """Two tasks in no list, and a lock without a holder."""
    with server.client() as client:
        client.sadd("asynq:queues", "default")
        for task_id in ("one", "two"):
            client.hset(
                KEYS.task(task_id), mapping={"msg": pack("t", b"", task_id, queue="default"), "state": "archived"}
            )
        client.set(KEYS.base + "unique:t:" + "0" * 64, "gone")


def listed(server: Server) -> list[str]:
    with server.client() as client:
        return client.zrange(KEYS.archived, 0, -1)


@pytest.mark.usefixtures("at_once")
def test_a_repair_asks_and_tells_what_it_has_done(server: Server) -> None:
    damage(server)
    done = CliRunner().invoke(program, ["doctor", "--repair"], input="y\n")
    assert done.exit_code == 0
    assert "In the queue 'default' 3 entries contradict each other: " in done.stdout
    assert "2 × a task in no list or set (" in done.stdout
    assert "Repair 3 entries? [y/N]" in done.stderr
    assert "Repaired in the queue 'default': 2 × a task in no list or set: restored." in done.stderr
    assert "Repaired in the queue 'default': 1 × a uniqueness lock that no task holds: deleted." in done.stderr
    assert done.stdout.splitlines()[-1] == "Nothing is wrong: 1 queue and 0 servers looked at."
    assert sorted(listed(server)) == ["one", "two"]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("answer", "text"), [("n\n", "Nothing was changed."), ("", "--yes answers the question")])
def test_without_a_yes_nothing_is_repaired(server: Server, answer: str, text: str) -> None:
    damage(server)
    done = CliRunner().invoke(program, ["doctor", "--repair"], input=answer)
    assert done.exit_code == 1
    assert text in done.stderr
    assert listed(server) == []


@pytest.mark.usefixtures("at_once")
def test_a_doctor_without_repair_changes_nothing_and_fails(server: Server) -> None:
    damage(server)
    done = CliRunner().invoke(program, ["doctor"])
    assert done.exit_code == 1
    assert "contradict each other" in done.stdout
    assert listed(server) == []


@pytest.mark.usefixtures("at_once")
def test_programs_repair_without_a_question_and_get_the_numbers(server: Server) -> None:
    damage(server)
    done = CliRunner().invoke(program, ["doctor", "--repair", "--yes", "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["repaired"] == {"default": {"unlisted": 2, "lock": 1}}
    assert (told["healthy"], told["tasks"], told["discrepancies"]) == (True, 2, {})


@pytest.mark.usefixtures("at_once")
def test_programs_get_the_findings_also_if_nothing_is_repaired(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(server)
    unanswered = CliRunner().invoke(program, ["doctor", "--repair", "--json"], input="")
    with server.client() as client:
        make_users(client)
        client.execute_command("ACL SETUSER", "rota-repairer", "-rpush")
    monkeypatch.setenv("ROTA_URL", restricted(f"redis://127.0.0.1:{server.port}", "repairer"))
    refused = CliRunner().invoke(program, ["doctor", "--repair", "--yes", "--json"])
    for done, text in ((unanswered, "Nothing was changed"), (refused, "Nothing was repaired: first")):
        assert done.exit_code == 1
        assert text in done.stderr
        told = json.loads(done.stdout)
        assert told["discrepancies"] == {"default": {"unlisted": 2, "lock": 1}}
        assert told["repaired"] == {}


@pytest.mark.usefixtures("at_once")
def test_a_healthy_server_needs_no_repair_and_no_answer() -> None:
    done = CliRunner().invoke(program, ["doctor", "--repair"], input="")
    assert (done.exit_code, done.stderr) == (0, "There is nothing to repair.\n")


@pytest.mark.usefixtures("at_once")
def test_tasks_of_a_long_queue_are_left_and_named(server: Server) -> None:
    damage(server)
    with server.client() as client:
        client.hset(KEYS.task("busy"), mapping={"msg": pack("t", b"", "busy", queue="default"), "state": "pending"})
        client.eval("for i = 0, ARGV[1] do redis.call('LPUSH', KEYS[1], 'busy') end", 1, KEYS.pending, MOST_SEARCHED)
    done = CliRunner().invoke(program, ["doctor", "--repair", "--yes"])
    assert done.exit_code == 1
    assert "Left for later: 2 tasks of queues in which more than 100,000 tasks are pending" in done.stderr


@pytest.mark.usefixtures("at_once")
def test_a_yes_without_a_repair_is_refused() -> None:
    done = CliRunner().invoke(program, ["doctor", "--yes"])
    assert done.exit_code == 2
    assert "--yes answers the question of --repair" in done.stderr


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("right", ["scan", "rpush", "hincrby"])
def test_a_missing_right_is_named_before_anything_is_repaired(
    server: Server, monkeypatch: pytest.MonkeyPatch, right: str
) -> None:
    damage(server)
    with server.client() as client:
        make_users(client)
        client.execute_command("ACL SETUSER", "rota-repairer", f"-{right}")
    monkeypatch.setenv("ROTA_URL", restricted(f"redis://127.0.0.1:{server.port}", "repairer"))
    done = CliRunner().invoke(program, ["doctor", "--repair", "--yes"])
    assert done.exit_code == 1
    assert f"lacks rights that a repairer needs: {right.upper()}." in done.stdout
    assert "Nothing was repaired: first correct the errors" in done.stderr
    assert listed(server) == []


def test_ctrl_c_stops_a_repair_and_the_next_one_goes_on(server: Server) -> None:
    damage(server)
    command = [sys.executable, "-m", "rota.cli", "doctor", "--repair", "--yes", "--json"]
    environment = {**os.environ, "ROTA_URL": server.unix_url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        assert run.stdout is not None
        assert run.stderr.readline() == (
            "In 10s, what is still wrong then is repaired. Ctrl-C stops; run it again to go on.\n"
        )
        run.send_signal(signal.SIGINT)
        assert run.wait(30) == 130
        assert run.stderr.read() == "Stopped. The repaired entries are complete; run the command again to go on.\n"
        told = json.load(run.stdout)
    assert (told["healthy"], told["repaired"]) == (False, {})
    assert listed(server) == []
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0
    assert sorted(listed(server)) == ["one", "two"]
