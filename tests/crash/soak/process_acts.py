"""What happens to the processes of a soak."""

import itertools
import random
import signal
from contextlib import suppress
from pathlib import Path

from tests.crash.fault_points import cases
from tests.crash.scene import Scene
from tests.crash.soak.choices import Act
from tests.crash.soak.fleet import LEASE_SECONDS, Fleet


class ProcessActs:
    """Deaths, freezes, deploys."""

    def __init__(self, fleet: Fleet, scene: Scene) -> None:
        self._fleet = fleet
        self._scene = scene
        self._cases = [*sorted(cases()), *((point, "freeze") for point, act in sorted(cases()) if act == "kill")]
        self._numbers = itertools.count()

    def acts(self) -> dict[str, Act]:
        """All of them."""
        return {
            "child killed": Act(6, self._kill_child),
            "group killed": Act(3, self._kill_group),
            "supervisor killed": Act(3, self._kill_supervisor),
            "child frozen": Act(3, self._freeze_child),
            "machine frozen": Act(3, self._freeze_machine),
            "deploy": Act(4, self._deploy),
            "quieted, then stopped": Act(3, self._quiet),
            "fault point armed": Act(8, self._arm),
        }

    def _kill_child(self, chance: random.Random) -> bool:
        if (victim := self._fleet.child(chance)) is not None:
            with suppress(ProcessLookupError):
                victim[0].kill_child(victim[1])
        return victim is not None

    def _kill_group(self, chance: random.Random) -> bool:
        self._fleet.kill(self._fleet.group(chance))
        return True

    def _kill_supervisor(self, chance: random.Random) -> bool:
        self._fleet.kill_supervisor(self._fleet.group(chance))
        return True

    def _freeze_child(self, chance: random.Random) -> bool:
        if (victim := self._fleet.child(chance)) is not None:
            self._fleet.freeze(victim[0], [victim[1]], chance.uniform(1, 10))
        return victim is not None

    def _freeze_machine(self, chance: random.Random) -> bool:
        group = self._fleet.group(chance)
        self._fleet.freeze(group, [group.pid, *group.descendants()], chance.uniform(1.2, 1.6) * LEASE_SECONDS)
        return True

    def _deploy(self, chance: random.Random) -> bool:
        old = self._fleet.group(chance)
        self._fleet.start()
        self._fleet.leave(old)
        return True

    def _quiet(self, chance: random.Random) -> bool:
        old = self._fleet.group(chance)
        if not old.said("is ready with"):
            return False  # the signal would stop a process that does not listen to it yet
        old.send(signal.SIGTSTP, old.pid)
        self._fleet.start()
        self._fleet.leave(old, chance.uniform(1, 3))
        return True

    def _arm(self, chance: random.Random) -> bool:
        """Replace a group by one that will be hit at some point of its code."""
        point, act = self._cases[int(chance.random() * len(self._cases))]
        mark = Path(self._scene.folder / f"{next(self._numbers)}-{point.replace(':', '-')}.{act}")
        old = self._fleet.group(chance)
        self._fleet.start(faults=f"{point}={act}:{mark}")
        self._fleet.expect(mark)
        self._fleet.leave(old)
        return True
