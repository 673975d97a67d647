"""What a soak can run on: one server, a master with sentinels, a Cluster. Each has faults of its own."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Protocol

from rota.broker.slots import slot_of
from tests.crash import outages
from tests.crash.outages import GRANT, WORKER
from tests.crash.proxy import Proxy
from tests.crash.scene import Scene
from tests.crash.soak.cargo import QUEUES
from tests.crash.soak.choices import Act
from tests.crash.soak.failover_acts import ClusterActs, SentinelActs
from tests.crash.soak.server_acts import server_acts, wire_acts
from tests.crash.soak.spell import Spell
from tests.servers.fleet import ClusterFleet, SentinelFleet
from tests.servers.process import Server, Store

DEAD_MS = 3000
"""A busy machine must not look like a dead one: who is replaced while it lives loses what it is still told."""


class Stage(Protocol):
    """The store, the ways to it, and what can happen to them."""

    name: str
    store: Store
    urls: list[str]
    """Groups of workers take them in turns."""

    def acts(self, scene: Scene, spell: Spell) -> Mapping[str, Act]:
        """What can happen here."""
        ...

    def is_well(self) -> bool:
        """Whether all servers are in their places."""
        ...

    def close(self) -> None: ...


class Standalone:
    """One server that forgets nothing when it is killed. Half of the workers go through a proxy."""

    def __init__(self) -> None:
        self.name = "standalone, appendfsync always"
        with ExitStack() as stack:
            # With everysec a slow disk holds back up to two seconds of writes, which die with the process.
            config = {"appendonly": "yes", "appendfsync": "always"}
            self.store = Server(config=config, lines=f"user worker {GRANT}\n").start()
            stack.callback(self.store.stop)
            self._proxy = Proxy(self.store.port)
            stack.callback(self._proxy.close)
            self.close = stack.pop_all().close
        self.is_well = lambda: True
        self.urls = [f"redis://{WORKER}@127.0.0.1:{port}/0" for port in (self.store.port, self._proxy.port)]

    def acts(self, scene: Scene, spell: Spell) -> Mapping[str, Act]:
        """Everything that one server can suffer."""
        return {**server_acts(outages.ALL, lambda _: self.store, spell), **wire_acts(self._proxy, spell)}


class Sentinel:
    """A master that dies again and again, and its replica that takes over."""

    def __init__(self) -> None:
        self.name = "Sentinel"
        self.store = SentinelFleet(patience_ms=DEAD_MS)
        self.urls = [self.store.url]
        self.is_well, self.close = self.store.is_well, self.store.stop

    def acts(self, scene: Scene, spell: Spell) -> Mapping[str, Act]:
        """Fail-overs, and what a master suffers without being replaced."""
        return SentinelActs(self.store, scene, spell).acts()


class Cluster:
    """Three masters with a replica each."""

    def __init__(self) -> None:
        self.name = "Cluster"
        self.store = ClusterFleet(patience_ms=DEAD_MS)
        self.urls = [self.store.url]
        self.is_well, self.close = self.store.is_well, self.store.stop

    def acts(self, scene: Scene, spell: Spell) -> Mapping[str, Act]:
        """Lost nodes and moving slots."""
        return ClusterActs(self.store, scene, spell, [slot_of(queue) for queue in QUEUES]).acts()


STAGES: Mapping[str, Callable[[], Stage]] = {"standalone": Standalone, "sentinel": Sentinel, "cluster": Cluster}
