"""The schedules of a scene, and their edits through the store, each written down with its moments."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from rota.errors import StoreError
from rota.schedule.definition import ScheduleDefinition
from rota.store import Store, open_store
from tests.crash.schedules.versions import INTERVAL, Version, Written

T = TypeVar("T")
PATIENCE_SECONDS = 120.0


def spec_of(each: int, offset: int) -> str:
    """A cron expression that names every so many seconds of a minute, from an offset on."""
    return "* * * * * *" if each == 1 else f"{','.join(map(str, range(offset % each, 60, each)))} * * * * *"


class Crops:
    """Makes and edits schedules. Each version has its number in the payload."""

    def __init__(self, file: Path, chance: random.Random, queues: int, *, missed: str, each: int) -> None:
        self.queues = [f"q{number}" for number in range(queues)]
        self.written: dict[str, Written] = {}
        self._chance = chance
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._store: Store = self._runner.run(self._stack.enter_async_context(open_store(f"sqlite:///{file}")))
        self._missed = missed
        self._each = each
        self._names = 0

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def make(self, count: int) -> None:
        """Make schedules: nine of ten have a cron expression, and one of twenty does not run beside itself.

        With `mixed`, one of four runs once for several missed times, and the others for each of them.
        """
        for _ in range(count):
            self._names += 1
            definition = {
                "name": f"s{self._names}",
                "task_type": "fire",
                "specs": [f"{INTERVAL}{self._each}s" if self._names % 10 == 0 else spec_of(self._each, self._names)],
                "queue": self._chance.choice(self.queues),
                "overlap": "skip" if self._names % 20 == 1 and self._missed == "mixed" else "allow",
                "missed": "once" if self._names % 4 == 3 and self._missed == "mixed" else "all",
                "payload": {"v": 0},
            }
            sent = time.time()
            made = self._do(lambda store, given=definition: store.create(ScheduleDefinition.read(given), by="scene"))
            self.written[made.id] = Written(made.id, [Version(0, sent, time.time(), definition)])

    def edit(self, most: int) -> int:
        """Edit some schedules at random. Returns how many."""
        live = [each for each in self.written.values() if each.last.definition is not None]
        chosen = self._chance.sample(live, min(self._chance.randint(1, most), len(live)))
        for each in chosen:
            if not each.is_interval and self._chance.random() < 0.05:
                self._delete(each)
                self.make(1)
            else:
                self._edit(each)
        return len(chosen)

    def hold(self) -> None:
        """Stop all schedules, so that what waits can be recorded."""
        self._do(lambda store: store.set_hold(by="scene", reason="the end"))

    def _edit(self, written: Written) -> None:
        assert written.last.definition is not None
        patch: dict[str, Any] = {"payload": {"v": written.last.number + 1}}
        kind = "queue" if written.is_interval else self._chance.choice(("queue", "spec", "both", "stop", "payload"))
        if kind in ("queue", "both"):
            patch["queue"] = self._chance.choice(self.queues)
        if kind in ("spec", "both"):
            each = self._each * self._chance.choice((1, 1, 2, 3))
            patch["specs"] = [spec_of(each, self._chance.randrange(60))]
        if kind == "stop" or not written.last.is_on:
            patch["enabled"] = not written.last.is_on
        self._write(
            written, {**written.last.definition, **patch}, lambda store: store.update(written.id, patch, by="scene")
        )

    def _delete(self, written: Written) -> None:
        self._write(written, None, lambda store: store.delete(written.id, by="scene"))

    def _write(
        self, written: Written, definition: Mapping[str, Any] | None, act: Callable[[Store], Awaitable[object]]
    ) -> None:
        sent = time.time()
        self._do(act)
        written.versions.append(Version(written.last.number + 1, sent, time.time(), definition))

    def _do(self, act: Callable[[Store], Awaitable[T]]) -> T:
        async def run() -> T:
            ends = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    return await act(self._store)
                except StoreError:  # a frozen scheduler may hold the lock of the file for a while
                    if time.monotonic() > ends:
                        raise

        return self._runner.run(run())
