"""What a soak promises of itself: that its seed repeats it, and that every fault can come."""

import random
from itertools import islice

from tests.crash.soak.choices import Act, choices


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
