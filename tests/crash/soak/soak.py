"""A soak: workers, producers all along, and one fault after the other."""

import time
from collections import Counter

from tests.crash.checker import Verdict
from tests.crash.scene import Scene
from tests.crash.soak.agenda import Agenda
from tests.crash.soak.cargo import QUEUES
from tests.crash.soak.choices import Act, choices
from tests.crash.soak.fleet import Fleet
from tests.crash.soak.go_acts import GoActs
from tests.crash.soak.process_acts import ProcessActs
from tests.crash.soak.spell import Spell
from tests.crash.soak.stages import Stage

PRODUCERS = 2
DRAIN_SECONDS = 240
"""An aggregation whose worker died is put back after two minutes."""
LOOK_SECONDS = 0.05


class Soak:
    """Everything of one soak. With `go` a Go server shares the queues."""

    def __init__(self, scene: Scene, seed: int, stage: Stage, *, go: bool = False) -> None:
        self._scene = scene
        scene.queues = list(QUEUES)
        self._seed = seed
        self._stage = stage
        self._agenda = Agenda()
        spell = Spell(self._agenda)
        self.fleet = Fleet(scene, self._agenda, stage.urls)
        self._go = GoActs(scene, spell) if go else None
        self._acts: dict[str, Act] = {
            **ProcessActs(self.fleet, scene).acts(),
            **stage.acts(scene, spell),
            **(self._go.acts() if self._go else {}),
        }
        self._done: Counter[str] = Counter()

    @property
    def faults(self) -> Counter[str]:
        """How often each has happened."""
        return self._done + self.fleet.happened

    def run(self, minutes: float) -> Verdict:
        """Go on for so long, then let everything end and check."""
        until = time.monotonic() + minutes * 60
        for number in range(PRODUCERS):
            self._scene.produce(0.3, f"{self._seed}-{number}", "tests.crash.soak.producer")
        for choice in choices(self._seed, self._acts):
            if time.monotonic() + choice.pause_seconds > until:
                break
            self._pass(choice.pause_seconds)
            happened = self._acts[choice.name].do(choice.chance)
            self._done[choice.name] += happened
            print(f"{time.strftime('%H:%M:%S')} {choice.name}{'' if happened else ' (not now)'}", flush=True)  # noqa: T201
        return self.end()

    def end(self) -> Verdict:
        """Let everything end its work and leave, then check."""
        for producer in self._scene.producers:
            producer.terminate()
            producer.wait()
        self._agenda.finish()
        self._scene.until(self._drained, DRAIN_SECONDS)
        if self._go is not None:
            self._go.close()
            self._go = None
        self.fleet.retire()
        self._scene.until(self._settled, 90)
        assert self.fleet.complaints == [], "\n".join(self.fleet.complaints)
        return self._scene.verdict()

    def _pass(self, seconds: float) -> None:
        """Let time pass, with an eye on everything."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()
            time.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        self._agenda.look()
        self.fleet.look()
        if self._go is not None:
            self._go.look()

    def _settled(self) -> bool:
        """Whether all have left. A fault point may freeze one on its last steps, so what has to be thawed is."""
        self._look()
        return not self.fleet.lives

    def _drained(self) -> bool:
        """Whether nothing waits or runs, in groups neither, and what is kept for seconds is gone."""
        self._look()
        if not self._stage.is_well():
            return False
        with self._scene.client() as client:
            kept = sum(client.zcount(f"asynq:{{{queue}}}:completed", 0, time.time() + 600) for queue in QUEUES)
            groups = client.exists("asynq:{groups}:groups", "asynq:{groups}:aggregation_sets", "rota:{groups}:spent")
        return not kept and not groups and not any(self._scene.waiting().values())
