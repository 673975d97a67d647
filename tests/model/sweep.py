"""A sweep and a repair in one go: look at all places and keys, repair what is found, and look again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from rota.wire.reconcile import (
    BEGIN,
    LATER,
    Discrepancy,
    StrayLock,
    delete_locks,
    locks,
    places,
    repair,
    tasks,
)
from rota.wire.sweep import Need, Seen, SweepLimits, look
from tests.model.rules.machine import MAX_CRASHES, SLACK
from tests.model.world import World

ARCHIVE_SIZE = 3
LIMITS = SweepLimits(SLACK, ARCHIVE_SIZE, timedelta(days=90), ahead=timedelta(seconds=2))
TO_DO = Need.RECOVER | Need.RECLAIM | Need.UNEVEN | Need.BROKEN


class Sweep:
    """`page` IDs of each place in one call."""

    def __init__(self, world: World, page: int) -> None:
        self._world = world
        self._keys = world.keys
        self._page = page

    def look(self) -> Seen:
        [seen] = self._world.broker.run(look([self._keys], LIMITS)) or []
        return seen

    def findings(self) -> list[Discrepancy]:
        """What is wrong with tasks. Of several findings with one the first counts, as in a repair."""
        first: dict[bytes, Discrepancy] = {}
        for found in (*self._in_places(), *self._in_keys()):
            first.setdefault(found.id, found)
        return list(first.values())

    def stray_locks(self) -> list[StrayLock]:
        names = sorted(name.decode() for name in self._world.redis.keys("*:unique:*"))
        return self._world.broker.run(locks(self._keys, names)) if names else []

    def reconcile(self) -> Counter[str]:
        """Repair until nothing is found. Answers what was done."""
        done: Counter[str] = Counter()
        for _ in range(20):
            findings, stray = self.findings(), self.stray_locks()
            if not findings and not stray:
                return done
            done.update(kind for kind in self.repair(findings) if kind)
            done["lock"] += self._world.broker.run(delete_locks(self._keys, stray))
        raise AssertionError(f"the sweep comes to no end: {done}, and still {findings} {stray}")

    def repair(self, findings: Sequence[Discrepancy]) -> list[str]:
        """What was done to each."""
        call = repair(self._keys, findings, max_crashes=MAX_CRASHES)
        kinds = self._world.broker.run(call)
        assert LATER not in kinds
        return kinds

    def _in_places(self) -> Iterator[Discrepancy]:
        cursors: Sequence[str] = BEGIN
        while any(cursors):
            page = self._world.broker.run(places(self._keys, cursors, self._page))
            cursors = page.cursors
            yield from page.findings

    def _in_keys(self) -> Iterator[Discrepancy]:
        prefix = self._keys.task_prefix
        ids = sorted(name.removeprefix(prefix.encode()) for name in self._world.redis.keys(prefix + "*"))
        for start in range(0, len(ids), self._page):
            yield from self._world.broker.run(tasks(self._keys, ids[start : start + self._page]))
