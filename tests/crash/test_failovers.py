"""Scenarios 19 and 23 where the store is several servers: masters die, slots move, a replica lags behind."""

import time
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import Any

import pytest
import redis

from rota.app import Rota
from rota.broker.slots import slot_of
from rota.errors import NotReplicated, RotaError
from tests.crash.conftest import SceneMaker
from tests.crash.outage import beside_idle, through
from tests.crash.proxy import Proxy
from tests.crash.scene import Scene
from tests.crash.soak.stages import DEAD_MS
from tests.servers.fleet import ClusterFleet, SentinelFleet
from tests.servers.process import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MOVES = 6
STEADY_MS = 30_000


def test_a_failover_by_sentinel(scene_of: SceneMaker) -> None:
    scene = scene_of("19: fail-over by Sentinel", SentinelFleet, patience_ms=DEAD_MS)
    fleet = scene.store
    assert isinstance(fleet, SentinelFleet)

    through(scene, partial(fail_over, scene, fleet))


def fail_over(scene: Scene, fleet: SentinelFleet) -> None:
    """Kill the master; return when all agree on the new one."""
    old = fleet.master()
    old.kill_replicated()
    scene.until(lambda: len(ports := fleet.agreed_master_port()) == 1 and old.port not in ports)
    scene.until(fleet.master)


def test_idle_workers_are_at_work_again_after_a_failover_by_sentinel(scene_of: SceneMaker) -> None:
    scene = scene_of("19: fail-over by Sentinel, while all workers are idle", SentinelFleet, patience_ms=DEAD_MS)
    fleet = scene.store
    assert isinstance(fleet, SentinelFleet)
    beside_idle(scene, partial(fail_over, scene, fleet))


def test_a_cluster_that_loses_a_master_under_load_goes_on_with_its_replica(scene_of: SceneMaker) -> None:
    scene = scene_of(
        "19: a Cluster loses a master, tasks run in queues of all three", ClusterFleet, patience_ms=DEAD_MS
    )
    fleet = scene.store
    assert isinstance(fleet, ClusterFleet)
    scene.queues = one_queue_on_each(fleet)
    lost = slot_of(scene.queues[0])

    def outage() -> None:
        old = fleet.owner(lost)
        old.kill_replicated()
        scene.until(lambda: fleet.owner(lost) is not old)

    through(scene, outage)


def one_queue_on_each(fleet: ClusterFleet) -> list[str]:
    """Names of queues that the masters of a Cluster share equally."""
    names = {fleet.owner(slot_of(name)): name for name in map(str, range(50))}
    assert len(names) == 3
    return list(names.values())


def test_slots_that_move_to_and_fro_under_load_cost_nothing(scene_of: SceneMaker) -> None:
    scene = scene_of(f"19: the slot of a queue moves {MOVES} times under load", ClusterFleet, patience_ms=STEADY_MS)
    fleet, slot = scene.store, slot_of("default")
    assert isinstance(fleet, ClusterFleet)
    scene.start(processes=2, settings={"concurrency": "30"}).ready()
    producer = scene.produce(0.05, 19)
    for move in range(MOVES):
        scene.ended(100 * (move + 1))
        with scene.away():
            source, target = fleet.begin_move(slot)
            scene.running(1)
            # By turns the places go first and the tasks go first.
            fleet.move_keys(source, target, slot, lambda key, last=move % 2: (":t:" in key) != last)
            fleet.end_move(slot, target)
    producer.terminate()
    producer.wait()
    scene.drained()
    kept = "asynq:{default}:completed"
    with scene.client() as client:
        scene.until(lambda: not client.exists(kept))
    verdict = scene.verdict()
    assert verdict.done >= 100 * MOVES
    assert (verdict.again, verdict.archived) == (0, 0)


class LaggingPair:
    """A master, a replica that can be made to lag behind, and one address for whoever is master."""

    def __init__(self) -> None:
        self._serving = self._master = Server().start()
        self._front, self._between = Proxy(self._master.port), Proxy(self._master.port, replication=True)
        self._replica = Server(lines=f"replicaof 127.0.0.1 {self._between.port}\n").start()
        self.url = self._front.url
        self._master.replicate()

    def client(self, **options: Any) -> redis.Redis:
        return self._serving.client(**options)

    def lagging(self) -> AbstractContextManager[None]:
        """Nothing reaches the replica."""
        return self._between.swallowing()

    def fail_over(self) -> None:
        """The master dies, and the replica takes its place with what it has."""
        self._master.kill()
        with self._replica.admin() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        self._serving = self._replica
        self._front.lead_to(self._replica.port)

    def stop(self) -> None:
        for each in (self._front, self._between):
            each.close()
        for server in (self._replica, self._master):
            server.stop()


def test_a_failover_to_a_lagging_replica_loses_nothing_that_was_said_to_be_replicated(scene_of: SceneMaker) -> None:
    scene = scene_of("23: fail-over to a replica that lags behind", LaggingPair)
    pair = scene.store
    assert isinstance(pair, LaggingPair)

    def enqueue_surely(name: str, timeout: str) -> None:
        surely = patient.sync_client.sending(wait_replicas=1, wait_replicas_timeout=timeout)
        queues = dict.fromkeys([f"{name}{n}" for n in range(20)], "default")
        scene.note.accepted(queues, "unsure")
        for outcome in surely.enqueue_many(scene.app.plan("crash:loop", {}, task_id=task) for task in queues):
            if isinstance(outcome, RotaError):
                raise outcome
        scene.note.accepted(queues)

    with closing(Rota(pair.url, settings={"response_timeout": "60s"})) as patient:
        enqueue_surely("copied", "30s")
        lagging_since = time.monotonic()
        with pair.lagging():
            scene.enqueue(20)
            with pytest.raises(NotReplicated):
                enqueue_surely("uncopied", "1s")
            pair.fail_over()
    dead_at = time.monotonic()
    scene.note("amnesia", at=dead_at, seconds=dead_at - lagging_since)
    scene.start().ready()
    scene.drained()
    verdict = scene.verdict()
    assert (verdict.accepted, verdict.done, verdict.forgotten) == (40, 20, 20)
