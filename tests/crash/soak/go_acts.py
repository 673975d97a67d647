"""A Go server of Asynq that takes part in a soak, by its own rules."""

import random
from contextlib import suppress

from tests.crash.go_workers import GoWorkers
from tests.crash.scene import Scene
from tests.crash.soak.choices import Act
from tests.crash.soak.spell import Spell

CONFIG = {
    "queues": {"critical": 6, "default": 3, "low": 1},
    "concurrency": 6,
    "task_check_ms": 100,
    "delayed_check_ms": 500,
    "retry_delay_ms": 100,
    "tasks": {"crash:result": {"sleep_ms": 20, "result": "a result"}, "*": {"sleep_ms": 50}},
}
"""It knows nothing of what tasks are ordered to do: it runs each in 50 ms."""


class GoActs:
    """One server, started again when it is gone."""

    def __init__(self, scene: Scene, spell: Spell) -> None:
        self._scene = scene
        self._spell = spell
        self._go: GoWorkers | None = None

    def acts(self) -> dict[str, Act]:
        """Its ends."""
        return {"Go server killed": Act(5, self._kill), "Go server stopped": Act(3, self._stop)}

    def look(self) -> None:
        """Start it again. It would not start while the broker is away."""
        if self._go is not None and self._go.process.poll() is not None:
            self._go.stop()
            self._go = None
        if self._go is None and not self._spell.lasts:
            with suppress(TimeoutError):
                self._go = GoWorkers(self._scene.url, self._scene.ledger, self._scene.note, **CONFIG)

    def close(self) -> None:
        """Stop it for good, and read what it said."""
        if self._go is not None:
            self._go.stop()
            self._go = None

    def _kill(self, _: random.Random) -> bool:
        if self._go is None:
            return False
        self._go.kill()
        self._go = None
        return True

    def _stop(self, _: random.Random) -> bool:
        if self._go is None or self._go.process.poll() is not None:
            return False
        self._go.process.terminate()
        return True
