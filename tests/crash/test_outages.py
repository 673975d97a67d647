"""Scenarios 19 to 23: the broker is away, full, forbidding, silent. Running tasks go on and are recorded once."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.crash import outages
from tests.crash.conftest import SceneMaker
from tests.crash.outage import through
from tests.crash.outages import Outage
from tests.crash.proxy import Proxy
from tests.crash.scene import Scene
from tests.servers.fleet import SentinelFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OUTAGE_SECONDS = 3.0


def lasting(outage: AbstractContextManager[None], seconds: float = OUTAGE_SECONDS) -> Callable[[], None]:
    """An outage that is over after so long."""

    def last() -> None:
        with outage:
            time.sleep(seconds)

    return last


@pytest.mark.parametrize("outage", outages.ALL, ids=outages.name)
def test_an_outage_of_the_server_costs_no_task_and_no_second_run(scene_of: SceneMaker, outage: Outage) -> None:
    number = {"three disconnects": "20", "out of memory": "19, 21, 32"}.get(outages.name(outage), "19")
    scene = scene_of(f"{number}: {outages.name(outage)}", appendonly="yes", appendfsync="always")
    with scene.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", *outages.GRANT.split())
    url = f"redis://{outages.WORKER}@127.0.0.1:{scene.server.port}/0" if outage is outages.no_rights else scene.url
    seconds = 0 if outage in outages.AT_ONCE else OUTAGE_SECONDS
    through(scene, lasting(outage(scene.server), seconds), url)


@pytest.fixture
def proxied(scene_of: SceneMaker) -> Iterator[tuple[Scene, Proxy]]:
    scene = scene_of("19:")
    proxy = Proxy(scene.server.port)
    yield scene, proxy
    proxy.close()


@pytest.mark.parametrize("error", outages.ANSWERS, ids=lambda error: error.split()[0])
def test_a_server_that_answers_with_errors_for_a_while(proxied: tuple[Scene, Proxy], error: str) -> None:
    scene, proxy = proxied
    scene.title = f"19: every command is answered with {error.split('.')[0]!r}"
    through(scene, lasting(proxy.answering(error)), proxy.url)


def test_half_open_connections_are_given_up_and_made_anew(proxied: tuple[Scene, Proxy]) -> None:
    scene, proxy = proxied
    scene.title = "19: half-open connections, packets dropped"
    through(scene, lasting(proxy.swallowing()), proxy.url)


def test_a_failover_by_sentinel(scene_of: SceneMaker) -> None:
    scene = scene_of("19: fail-over by Sentinel", SentinelFleet)
    fleet = scene.store
    assert isinstance(fleet, SentinelFleet)

    def outage() -> None:
        old = fleet.master()
        old.replicate()
        old.kill()
        scene.until(lambda: len(ports := fleet.agreed_master_port()) == 1 and old.port not in ports)
        scene.until(fleet.master)

    through(scene, outage)


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
        scene.server.start()
    scene.drained()
    # A killed process leaves what it has written to the system, so that even everysec loses nothing here.
    assert scene.verdict().forgotten == 0
