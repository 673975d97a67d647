"""Scenarios 19 to 25: the broker is away, full, forbidding, silent. Running tasks go on and are recorded once."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from rota.health.discovery import NoReply, ask_port
from tests.crash import outages
from tests.crash.conftest import SceneMaker
from tests.crash.outage import beside_idle, through
from tests.crash.outages import Outage
from tests.crash.proxy import Proxy
from tests.crash.scene import Scene
from tests.servers.process import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

OUTAGE_SECONDS = 3.0
READY_SECONDS = 15.0


def lasting(outage: AbstractContextManager[None], seconds: float = OUTAGE_SECONDS) -> Callable[[], None]:
    """An outage that is over after so long."""

    def last() -> None:
        with outage:
            time.sleep(seconds)

    return last


@pytest.mark.parametrize("outage", outages.ALL, ids=outages.name)
def test_an_outage_of_the_server_costs_no_task_and_no_second_run(scene_of: SceneMaker, outage: Outage) -> None:
    number = {"three disconnects": "20:", "out of memory": "19, 21, 32:"}.get(outages.name(outage), "19:")
    scene = scene_of(f"{number} {outages.name(outage)}", appendonly="yes", appendfsync="always")
    with scene.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", *outages.GRANT.split())
    url = f"redis://{outages.WORKER}@127.0.0.1:{scene.server.port}/0" if outage is outages.no_rights else scene.url
    seconds = 0 if outage in outages.AT_ONCE else OUTAGE_SECONDS
    through(scene, lasting(outage(scene.server), seconds), url)


@pytest.mark.parametrize("outage", outages.ALL, ids=outages.name)
def test_idle_workers_with_free_slots_are_at_work_again_after_an_outage(scene_of: SceneMaker, outage: Outage) -> None:
    scene = scene_of(f"19: {outages.name(outage)}, while all workers are idle", appendonly="yes", appendfsync="always")
    with scene.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", *outages.GRANT.split())
    url = f"redis://{outages.WORKER}@127.0.0.1:{scene.server.port}/0" if outage is outages.no_rights else scene.url
    seconds = 0 if outage in outages.AT_ONCE else OUTAGE_SECONDS
    beside_idle(scene, lasting(outage(scene.server), seconds), url)


def test_idle_workers_give_up_half_open_connections_and_are_at_work_again(wired: tuple[Scene, Proxy]) -> None:
    scene, proxy = wired
    scene.title = "19: half-open connections, while all workers are idle"
    beside_idle(scene, lasting(proxy.swallowing()), proxy.url)


def test_idle_workers_connect_again_after_their_connections_were_cut(wired: tuple[Scene, Proxy]) -> None:
    scene, proxy = wired
    scene.title = "20: connections cut three times, while all workers are idle"

    def cut() -> None:
        for pause in (0.9, 0.9, 0):
            proxy.cut()
            time.sleep(pause)

    beside_idle(scene, cut, proxy.url)


@pytest.mark.parametrize("error", outages.ANSWERS, ids=lambda error: error.split()[0])
def test_a_server_that_answers_with_errors_for_a_while(wired: tuple[Scene, Proxy], error: str) -> None:
    scene, proxy = wired
    scene.title = f"19: every command is answered with {error.split('.')[0]!r}"
    through(scene, lasting(proxy.answering(error)), proxy.url)


def test_half_open_connections_are_given_up_and_made_anew(wired: tuple[Scene, Proxy]) -> None:
    scene, proxy = wired
    scene.title = "19: half-open connections, packets dropped"
    through(scene, lasting(proxy.swallowing()), proxy.url)


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
    with proxy.swallowing():
        cut_at = time.monotonic()
        asked = [cut_at]

        def not_ready() -> bool:
            asked.append(time.monotonic())
            return status("/ready") == 503

        scene.until(not_ready)
        said_ready_at = asked[-2]
        assert said_ready_at - cut_at <= READY_SECONDS
        assert status("/live") == 200
        scene.title += f" (not ready after {asked[-1] - cut_at:.1f} s)"
        scene.ended(10)
    scene.until(lambda: status("/ready") == 200)
    scene.drained()
    assert scene.verdict().runs == 10


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_a_power_cut_during_load_loses_what_the_server_was_not_told_to_keep_and_no_more(
    scene_of: SceneMaker, fsync: str
) -> None:
    title = f"19, 23: the server is killed under load, appendfsync {fsync}"
    scene = scene_of(title, appendonly="yes", appendfsync=fsync)
    scene.start(processes=1, settings={"lease": "15s"}).ready()
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
