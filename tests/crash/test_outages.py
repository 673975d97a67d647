"""Scenarios 19 to 25: the broker is away, full, forbidding, silent. Running tasks go on and are recorded once."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from rota.health.meeting import NoReply, ask_port
from tests.crash.conftest import SceneMaker
from tests.crash.outage import through
from tests.crash.proxy import Proxy
from tests.crash.scene import Scene
from tests.servers.process import Server, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OUTAGE_SECONDS = 3.0
READY_SECONDS = 15.0
GRANT = "on >secret ~* &* +@all"


def restart(server: Server) -> None:
    server.kill()
    time.sleep(OUTAGE_SECONDS)
    server.start()


def silence(server: Server) -> None:
    server.freeze()
    time.sleep(OUTAGE_SECONDS)
    server.thaw()


def kill_clients(server: Server) -> None:
    with server.admin() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def three_disconnects(server: Server) -> None:
    for _ in range(3):
        kill_clients(server)
        time.sleep(0.9)


def idle_sockets_closed(server: Server) -> None:
    configured(server, timeout=1)
    configured(server, timeout=0)


def out_of_memory(server: Server) -> None:
    configured(server, maxmemory=1)
    configured(server, maxmemory=0)


def too_many_clients(server: Server) -> None:
    with server.admin() as client:
        client.config_set("maxclients", 1)
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(OUTAGE_SECONDS)
        client.config_set("maxclients", 1000)


def read_only(server: Server) -> None:
    with server.admin() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        time.sleep(OUTAGE_SECONDS)
        client.execute_command("REPLICAOF", "NO", "ONE")


def no_rights(server: Server) -> None:
    with server.admin() as client:
        client.execute_command("ACL", "SETUSER", "worker", "-eval", "-evalsha", "-script")
        time.sleep(OUTAGE_SECONDS)
        client.execute_command("ACL", "SETUSER", "worker", *GRANT.split())


def scripts_forgotten(server: Server) -> None:
    with server.admin() as client:
        client.script_flush()


def configured(server: Server, **config: int) -> None:
    with server.admin() as client:
        for name, value in config.items():
            client.config_set(name, value)
    if any(config.values()):
        time.sleep(OUTAGE_SECONDS)


@pytest.mark.parametrize(
    "outage",
    [
        restart, silence, kill_clients, three_disconnects, idle_sockets_closed, out_of_memory, too_many_clients,
        read_only, no_rights, scripts_forgotten,
    ],
    ids=lambda outage: outage.__name__,
)  # fmt: skip
def test_an_outage_of_the_server_costs_no_task_and_no_second_run(
    scene_of: SceneMaker, outage: Callable[[Server], None]
) -> None:
    number = {"three_disconnects": "20", "out_of_memory": "19, 21, 32"}.get(outage.__name__, "19")
    scene = scene_of(f"{number}: {outage.__name__.replace('_', ' ')}", appendonly="yes", appendfsync="always")
    with scene.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", *GRANT.split())
    url = f"redis://worker:secret@127.0.0.1:{scene.server.port}/0" if outage is no_rights else scene.url
    through(scene, lambda: outage(scene.server), url)


@pytest.mark.parametrize(
    "error",
    [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "ERR max requests limit exceeded. Limit: 500000, Usage: 500001.",
    ],
    ids=lambda error: error.split()[0],
)
def test_a_server_that_answers_with_errors_for_a_while(wired: tuple[Scene, Proxy], error: str) -> None:
    scene, proxy = wired
    scene.title = f"19: every command is answered with {error.split('.')[0]!r}"

    def outage() -> None:
        proxy.answer(error)
        time.sleep(OUTAGE_SECONDS)
        proxy.heal()

    through(scene, outage, proxy.url)


def test_half_open_connections_are_given_up_and_made_anew(wired: tuple[Scene, Proxy]) -> None:
    scene, proxy = wired
    scene.title = "19: half-open connections, packets dropped"

    def outage() -> None:
        proxy.swallow()
        time.sleep(OUTAGE_SECONDS)
        proxy.heal()

    through(scene, outage, proxy.url)


def test_a_worker_that_is_cut_off_says_so_within_15_seconds_and_lives(wired: tuple[Scene, Proxy]) -> None:
    scene, proxy = wired
    scene.title = "25: cut off for a while, default settings"
    port = free_port()

    def status(question: str) -> int:
        try:
            return ask_port("127.0.0.1", port, question, timedelta(seconds=5)).status
        except NoReply:  # a worker may be ready before its supervisor answers
            return 0

    scene.start(proxy.url, processes=1, quick=False, settings={"health_port": str(port)}).ready()
    scene.until(lambda: status("/ready") == 200)
    scene.enqueue(10, seconds=5)
    scene.running(10)
    proxy.swallow()
    cut_at = time.monotonic()
    scene.until(lambda: status("/ready") == 503)
    assert time.monotonic() - cut_at <= READY_SECONDS
    assert status("/live") == 200
    scene.title += f" (not ready after {time.monotonic() - cut_at:.1f} s)"
    scene.ended(10)
    proxy.heal()
    scene.until(lambda: status("/ready") == 200)
    scene.drained()
    assert scene.verdict().runs == 10


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_a_power_cut_during_load_loses_what_the_server_was_not_told_to_keep_and_no_more(
    scene_of: SceneMaker, fsync: str
) -> None:
    title = f"19, 23: the server is killed under load, appendfsync {fsync}"
    scene = scene_of(title, appendonly="yes", appendfsync=fsync)
    scene.start(processes=1).ready()
    for _ in range(3):
        scene.enqueue(300, seconds=0.01)
        scene.server.kill()
        if fsync == "everysec":
            # A killed process leaves what it has written to the system. But while an fsync is busy it writes nothing.
            scene.note("amnesia")
        scene.server.start()
    scene.drained()
    assert scene.verdict().forgotten == 0 or fsync == "everysec"


def test_a_server_that_may_drop_tasks_is_warned_of_at_the_start(scene_of: SceneMaker) -> None:
    scene = scene_of("24: a policy that evicts, and nothing kept on disk", maxmemory_policy="allkeys-lru")
    worker = scene.start(processes=1).ready()
    for danger in ("maxmemory-policy allkeys-lru", "keep nothing on disk"):
        [line] = [line for line in worker.log.read_text().splitlines() if danger in line]
        assert " WARNING " in line
    scene.verdict()
