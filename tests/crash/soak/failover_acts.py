"""What happens where several servers belong together: masters die, and slots move.

A fail-over may lose the newest writes, so each is written down as an amnesia, which the checker takes for an excuse.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from tests.crash import outages
from tests.crash.scene import Scene
from tests.crash.soak.choices import Act
from tests.crash.soak.server_acts import server_acts
from tests.crash.soak.spell import Spell
from tests.servers.fleet import ClusterFleet, SentinelFleet
from tests.servers.process import Server

AWAY_SECONDS = 9.0
"""A dead master comes back as a replica after so long, if its own has taken its place by then."""
FORGOTTEN_SECONDS = 1.0
"""A replica that follows closely has everything but what was under way to it."""
HARMLESS = (*outages.AT_ONCE, outages.out_of_memory, outages.idle_sockets_closed)
"""What a master can suffer without being replaced."""


class SentinelActs:
    """A master and its replica."""

    def __init__(self, fleet: SentinelFleet, scene: Scene, spell: Spell) -> None:
        self._fleet = fleet
        self._scene = scene
        self._spell = spell

    def acts(self) -> Mapping[str, Act]:
        """All of them."""
        return {"fail-over": Act(12, self._fail_over), **server_acts(HARMLESS, self._master, self._spell)}

    def _master(self, _: random.Random) -> Server | None:
        return self._fleet.master() if not self._spell.lasts and self._fleet.is_well() else None

    def _fail_over(self, chance: random.Random) -> bool:
        old = self._master(chance)
        return old is not None and self._spell.begin(partial(self._away, old), AWAY_SECONDS)

    @contextmanager
    def _away(self, old: Server) -> Iterator[None]:
        [new] = [each for each in self._fleet.servers if each is not old]
        _lose(old, self._scene)
        yield
        self._scene.until(lambda: self._fleet.info(new)["role"] == "master")
        old.start()
        with old.admin() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", new.port)


class ClusterActs:
    """Masters with a replica each. `slots` are those of the queues."""

    def __init__(self, fleet: ClusterFleet, scene: Scene, spell: Spell, slots: Sequence[int]) -> None:
        self._fleet = fleet
        self._scene = scene
        self._spell = spell
        self._slots = slots

    def acts(self) -> Mapping[str, Act]:
        """All of them."""
        return {
            "node lost": Act(12, self._lose),
            "slot moved": Act(8, self._move),
            **server_acts(HARMLESS, self._owner, self._spell),
        }

    def _owner(self, chance: random.Random) -> Server | None:
        slot = chance.choice(self._slots)
        return self._fleet.owner(slot) if not self._spell.lasts and self._fleet.is_well() else None

    def _lose(self, chance: random.Random) -> bool:
        node = self._owner(chance)
        return node is not None and self._spell.begin(partial(self._away, node), AWAY_SECONDS)

    @contextmanager
    def _away(self, node: Server) -> Iterator[None]:
        _lose(node, self._scene)
        yield
        # At the end of a soak this comes at once. A node that is back before its replica has taken its place is a
        # master without data, and the replica loses its own.
        self._scene.until(lambda: len(self._fleet.masters()) == 3)
        node.start()

    def _move(self, chance: random.Random) -> bool:
        slot = chance.choice(self._slots)
        if self._spell.lasts or not self._fleet.is_well():
            return False
        # While a slot moves its queues rest, and an idle worker learns of it by its next look at the whole map.
        with self._scene.away():
            source, target = self._fleet.begin_move(slot)
            self._fleet.move_keys(source, target, slot, lambda _: chance.random())
            self._fleet.end_move(slot, target)
        return True


def _lose(server: Server, scene: Scene) -> None:
    # Between the two moments it may go on to be told things, and no second run begins before the first of them.
    at = time.monotonic()
    server.kill()
    scene.note("amnesia", at=at, seconds=FORGOTTEN_SECONDS, until=time.monotonic())
