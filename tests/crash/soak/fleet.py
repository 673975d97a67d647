"""The workers of a soak: groups that are killed, frozen, replaced, and must do what they should meanwhile."""

import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.crash.scene import Scene
from tests.crash.soak.agenda import Agenda
from tests.crash.soak.cargo import QUEUES
from tests.crash.workers import Workers

LEASE_SECONDS = 12
"""Longer than any outage, so that a worker that lives keeps its tasks."""
SETTINGS = {
    "lease": f"{LEASE_SECONDS}s",
    "lease_slack": "1s",
    "queues": ",".join(f"{name}={weight}" for name, weight in QUEUES.items()),
    "concurrency": "12",
    "shutdown_timeout": "2s",
    # At the front of the line again, a task is soon in the next worker that is killed, begun or not.
    "max_crashes": "5",
    "pool_size": "1",
    "process_max_tasks": "400",
    "scale_up_after": "1s",
    "scale_down_after": "3s",
}
PROCESSES = "1..3"
GROUPS = 2
STOP_SECONDS = 60.0
"""So long a group may take to leave, with outages and freezes on its way."""
_TOLD_BY_LOGS = {
    "process recycled": "it has run",
    "scaled up": "All slots are taken and tasks wait",
    "scaled down": "The load is lower",
}


class Fleet:
    """So many groups, each a supervisor with its processes. `urls` are taken in turns."""

    def __init__(self, scene: Scene, agenda: Agenda, urls: Sequence[str]) -> None:
        self._scene = scene
        self._agenda = agenda
        self._urls = itertools.cycle(urls)
        self._wanted = GROUPS
        self.groups: list[Workers] = []
        self._leaving: dict[Workers, float] = {}
        self._orphans: dict[int, float] = {}
        self._frozen: set[int] = set()
        self._marks: set[Path] = set()
        self._killed: set[int] = set()
        self.happened: Counter[str] = Counter()
        """What no act has done, but the workers: at fault points, and by their settings."""
        self.complaints: list[str] = []

    def start(self, faults: str = "") -> Workers:
        """Start one more group."""
        group = self._scene.start(next(self._urls), processes=PROCESSES, settings=SETTINGS, faults=faults)
        self.groups.append(group)
        return group

    def look(self) -> None:
        """Take notice of what has happened, and replace what is gone."""
        self._look_at_marks()
        now = time.monotonic()
        for group in [each for each in (*self.groups, *self._leaving) if each.process.poll() is not None]:
            self._gone(group)
        for group in [group for group, until in self._leaving.items() if until < now]:
            raise AssertionError(f"a group did not leave within {STOP_SECONDS} s: {group.log}")
        self._orphans = {pid: until for pid, until in self._orphans.items() if _lives(pid)}
        if late := [pid for pid, until in self._orphans.items() if until < now]:
            raise AssertionError(f"{late} live on without their supervisor")
        while len(self.groups) < self._wanted:
            self.start()

    @property
    def lives(self) -> bool:
        """Whether there is anybody: at work, on the way out, or left behind."""
        return bool(self.groups or self._leaving or self._orphans)

    def retire(self) -> None:
        """Let all leave, and nobody take their place."""
        self._wanted = 0
        for group in list(self.groups):
            self.leave(group)

    def group(self, chance: random.Random) -> Workers:
        """Draw one."""
        return self.groups[int(chance.random() * len(self.groups))]

    def child(self, chance: random.Random) -> tuple[Workers, int] | None:
        """Draw one that is not frozen."""
        group, at = self.group(chance), chance.random()
        found = [pid for pid in group.children() if pid not in self._frozen]
        return (group, found[int(at * len(found))]) if found else None

    def kill(self, group: Workers) -> None:
        """Lose a machine."""
        self._killed.add(group.pid)
        with suppress(ProcessLookupError):
            group.kill()

    def kill_supervisor(self, group: Workers) -> None:
        """Its children have to stop by themselves."""
        children = group.children()
        self._killed.add(group.pid)
        group.send(signal.SIGKILL, group.pid)
        group.process.wait()
        self._orphans |= dict.fromkeys(children, time.monotonic() + STOP_SECONDS)

    def freeze(self, group: Workers, pids: Sequence[int], seconds: float) -> None:
        """Stop these processes for a while."""
        for pid in pids:
            with suppress(ProcessLookupError):
                group.freeze(pid)
                self._thaw_later(pid, seconds)

    def leave(self, group: Workers, seconds: float = 0) -> None:
        """Ask a group to stop, now or after a while."""
        self.groups.remove(group)
        self._leaving[group] = time.monotonic() + seconds + STOP_SECONDS
        if seconds:
            self._agenda.add(seconds, group.terminate)
        else:
            group.terminate()

    def expect(self, mark: Path) -> None:
        """Wait for a fault at a point."""
        self._marks.add(mark)

    def _look_at_marks(self) -> None:
        for mark in [mark for mark in self._marks if mark.exists() and " " in mark.read_text()]:
            self._marks.remove(mark)
            pid, at = mark.read_text().split()
            act = mark.suffix[1:]
            self.happened[f"{act} at a fault point"] += 1
            if act == "kill":
                self._killed.add(int(pid))
                self._scene.note("death", pid=int(pid), at=float(at))
            elif act == "freeze":
                self._scene.note("freeze", pid=int(pid), at=float(at))
                self._thaw_later(int(pid), 1 + int(pid) % LEASE_SECONDS)

    def _thaw_later(self, pid: int, seconds: float) -> None:
        self._frozen.add(pid)

        def thaw() -> None:
            self._frozen.discard(pid)
            self._scene.note("thaw", pid=pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        self._agenda.add(seconds, thaw)

    def _gone(self, group: Workers) -> None:
        left = self._leaving.pop(group, None) is not None
        if not left:
            self.groups.remove(group)
        self._scene.workers.remove(group)
        code = group.process.returncode
        # One that has never come to work may say that the broker was away, or be ended by the signal itself.
        expected = group.pid in self._killed or (left and code == 0) or not group.said("is ready with")
        if not expected:
            self.complaints.append(f"{'leaving' if left else 'working'}, a group ended with code {code}: {group.log}")
        self.happened.update({what: group.said(text) for what, text in _TOLD_BY_LOGS.items()})


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
