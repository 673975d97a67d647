"""What is done when: drawn by the seed alone, so that it does not depend on how fast anything was."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

PAUSE_SECONDS = (0.5, 3.0)


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of fault. `do` draws from what it is given, and returns whether there was anything to do it to."""

    weight: int
    do: Callable[[random.Random], bool]


@dataclass(frozen=True, slots=True)
class Choice:
    """After a pause, an act, with a source of chance that is this act's own."""

    pause_seconds: float
    name: str
    chance: random.Random


def choices(seed: int, acts: Mapping[str, Act]) -> Iterator[Choice]:
    """Draw for ever. How much one act draws for itself changes nothing for the next one."""
    names, weights = list(acts), [act.weight for act in acts.values()]
    for number in itertools.count():
        chance = random.Random(f"{seed}:{number}")
        yield Choice(chance.uniform(*PAUSE_SECONDS), chance.choices(names, weights)[0], chance)
