"""The scene of the schedulers in its short form: kills, freezes and edits, and the death of a master."""

from contextlib import ExitStack

import pytest

from tests.crash.schedules.scene import Order, played
from tests.crash.schedules.stores import STAGES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SHORT = {"seconds": 25.0, "schedules": 150, "every": 2.0, "each": 3}


@pytest.mark.parametrize("seed", [1, 2])
def test_each_planned_time_is_enqueued_once_or_skipped_among_kills_freezes_and_edits(seed: int) -> None:
    with ExitStack() as stack:
        verdict = played(Order(seed, **SHORT), STAGES["standalone"](stack))
    verdict.assert_well()
    assert verdict.enqueued


@pytest.mark.parametrize("on", ["sentinel", "cluster"])
def test_failover_doubles_nothing_and_loses_only_what_was_written_just_before(on: str) -> None:
    order = Order(3, 30, 100, 4.0, ("kill", "freeze", "edit", "fail-over"), on, each=3)
    with ExitStack() as stack:
        verdict = played(order, STAGES[on](stack))
    verdict.assert_well()
    assert verdict.enqueued
