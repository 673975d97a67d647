"""Where the schedulers of a scene run: one server, a master with Sentinel, or a Cluster."""

import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Protocol

from tests.crash.soak.stages import DEAD_MS
from tests.servers.fleet import ClusterFleet, SentinelFleet
from tests.servers.process import Server, Store, wait_until

WELL_SECONDS = 120.0


class Stage(Protocol):
    """The servers, and what can happen to them."""

    @property
    def store(self) -> Store: ...

    def fail_over(self, chance: random.Random) -> None:
        """Kill a master, wait until its replica leads, and let the old one follow it."""
        ...


class Standalone:
    """One server."""

    def __init__(self, stack: ExitStack) -> None:
        self.store = Server().start()
        stack.callback(self.store.stop)

    def fail_over(self, chance: random.Random) -> None:
        raise NotImplementedError("one server has no replica")


class Sentinel:
    """A master with a replica, and three sentinels."""

    def __init__(self, stack: ExitStack) -> None:
        self.store = SentinelFleet(patience_ms=DEAD_MS)
        stack.callback(self.store.stop)

    def fail_over(self, chance: random.Random) -> None:
        old = self.store.master()
        [new] = [each for each in self.store.servers if each is not old]
        old.kill()
        wait_until(lambda: self.store.info(new)["role"] == "master", WELL_SECONDS)
        old.start()
        with old.admin() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", new.port)
        wait_until(self.store.is_well, WELL_SECONDS)


class Cluster:
    """Three masters with a replica each."""

    def __init__(self, stack: ExitStack) -> None:
        self.store = ClusterFleet(patience_ms=DEAD_MS)
        stack.callback(self.store.stop)

    def fail_over(self, chance: random.Random) -> None:
        old = chance.choice(self.store.masters())
        slot = self._slot(old)
        old.kill()
        wait_until(lambda: self.store.owner(slot) is not old, WELL_SECONDS)
        old.start()
        wait_until(self.store.is_well, WELL_SECONDS)

    def _slot(self, server: Server) -> int:
        return next(slot for slot in range(0, 16384, 100) if self.store.owner(slot) is server)


STAGES: Mapping[str, Callable[[ExitStack], Stage]] = {
    "standalone": Standalone,
    "sentinel": Sentinel,
    "cluster": Cluster,
}
