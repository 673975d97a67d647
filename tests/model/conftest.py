"""The two worlds of a machine, and how long it looks.

`HYPOTHESIS_PROFILE=long` looks for much longer; `--hypothesis-seed` repeats a run.
"""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.rules.machine import Machine
from tests.model.world import World

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
TIMEOUT_SECONDS = 7200 if LONG else 600
"""Room for five minutes in which a failing sequence is made shorter."""

Look = Callable[..., None]


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    world = World(redis_url)
    yield world
    world.close()


@pytest.fixture
def look_for_a_difference(world: World) -> Look:
    """Run a machine: so many examples in the quick profile, twenty times as many in the long one."""

    def look(machine: type[Machine], examples: int, steps: int = 50) -> None:
        machine.world = world
        amount = settings(
            max_examples=examples * 20 if LONG else examples,
            stateful_step_count=steps + 30 if LONG else steps,
            deadline=None,
            print_blob=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(machine, settings=amount)

    return look
