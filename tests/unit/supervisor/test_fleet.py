"""A fleet without a supervisor: which processes it counts."""

from typing import Any
from unittest.mock import Mock

import pytest

from rota.supervisor.fleet import Fleet, Order
from rota.supervisor.kind import WORKER
from rota.supervisor.process import ChildProcess, Exit
from rota.supervisor.replacement import RestartBackoff


async def test_a_fleet_lives_until_the_end_of_a_process_that_died_while_it_was_started_is_handled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the command would end instead of starting another process."""
    dead = ChildProcess("id", Mock(pid=1), RestartBackoff())
    dead.exit = Exit(1)

    async def start(*args: Any) -> ChildProcess:
        return dead

    monkeypatch.setattr(ChildProcess, "start", start)
    fleet = Fleet(WORKER, Order("examples.shop:app"), Mock())
    await fleet.start(RestartBackoff())
    assert fleet.lives
    fleet.ended(dead)
    assert not fleet.lives


async def test_a_fleet_does_not_count_a_process_whose_end_was_handled_while_it_was_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = ChildProcess("id", Mock(pid=1), RestartBackoff())
    dead.exit = Exit(1)
    dead.ended.set()

    async def start(*args: Any) -> ChildProcess:
        return dead

    monkeypatch.setattr(ChildProcess, "start", start)
    fleet = Fleet(WORKER, Order("examples.shop:app"), Mock())
    await fleet.start(RestartBackoff())
    assert not fleet.lives
