"""What a soak promises of itself: that its seed repeats it, and that every fault can come."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

from tests.crash import outages
from tests.crash.conftest import SceneMaker
from tests.crash.soak.agenda import Agenda
from tests.crash.soak.choices import Act, choices
from tests.crash.soak.server_acts import server_acts
from tests.crash.soak.soak import Soak
from tests.crash.soak.spell import Spell
from tests.crash.soak.stages import Standalone


def _acts(draws: int) -> dict[str, Act]:
    def do(chance: random.Random) -> bool:
        return bool([chance.random() for _ in range(draws)])

    return {"often": Act(5, do), "seldom": Act(1, do)}


def _first(seed: int, draws: int) -> list[tuple[float, str, float]]:
    acts = _acts(draws)
    drawn: list[tuple[float, str, float]] = []
    for choice in islice(choices(seed, acts), 200):
        first = choice.chance.random()
        acts[choice.name].do(choice.chance)
        drawn.append((choice.pause_seconds, choice.name, first))
    return drawn


def test_a_seed_repeats_every_choice_whatever_the_acts_have_drawn_for_themselves() -> None:
    assert _first(7, draws=0) == _first(7, draws=5)


def test_another_seed_chooses_otherwise() -> None:
    assert _first(7, draws=0) != _first(8, draws=0)


def test_every_act_comes_as_often_as_it_weighs() -> None:
    names = [name for _, name, _ in _first(7, draws=0)]
    assert 140 < names.count("often") < 190


class Weather:
    """An outage that says whether it lasts."""

    lasts = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.lasts += 1
        yield
        self.lasts -= 1


def test_one_outage_begins_when_the_other_is_over() -> None:
    agenda, weather = Agenda(), Weather()
    spell = Spell(agenda)
    assert spell.begin(weather, 60)
    agenda.look()
    assert not spell.begin(weather, 60)
    assert weather.lasts == 1
    agenda.finish()
    assert weather.lasts == 0
    assert spell.begin(weather, 0)
    agenda.look()
    assert weather.lasts == 0


def test_an_outage_whose_moment_is_wrong_is_passed_over_and_so_is_one_without_a_server() -> None:
    spell = Spell(Agenda())
    acts = server_acts(outages.ALL, lambda _: None, spell)
    assert len(acts) == len(outages.ALL)
    assert not any(act.do(random.Random(1)) for act in acts.values())
    assert not spell.lasts


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_what_freezes_when_all_are_about_to_leave_is_thawed_and_leaves(scene_of: SceneMaker, tmp_path: Path) -> None:
    stage, mark = Standalone(), tmp_path / "last.freeze"
    scene = scene_of("a soak whose worker freezes at its end", lambda: stage.store)
    try:
        soak = Soak(scene, 1, stage)
        group = soak.fleet.start().ready()
        # As a fault point does it, in a supervisor that gives back what a process has left.
        os.kill(group.pid, signal.SIGSTOP)
        mark.write_text(f"{group.pid} {time.monotonic()}")
        soak.fleet.expect(mark)
        soak.end()
    finally:
        stage.close()
    assert soak.faults["freeze at a fault point"] == 1
    assert not soak.fleet.lives
