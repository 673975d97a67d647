"""A fleet without a supervisor: which processes it counts."""

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from rota.settings.settings import Settings
from rota.settings.values import ProcessRange
from rota.supervisor.fleet import Fleet, Order
from rota.supervisor.kind import WORKER, Kind
from rota.supervisor.messages import ProcessReport
from rota.supervisor.process import ChildProcess, Exit
from rota.supervisor.replacement import Lifetime, RestartBackoff


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


async def test_processes_without_overlap_are_replaced_one_after_the_other() -> None:
    kind = replace(WORKER, overlaps=False, processes=two)
    fleet = Fleet(kind, Order("examples.shop:app"), Mock())
    fleet.open(Settings(), Mock())
    first, second = fleet.processes[:] = [ready(kind), ready(kind)]
    for _ in range(2):
        await fleet.look()
        assert (first.leaving, second.leaving) == (True, False)
    successor = ready(kind)
    successor.lifetime = Lifetime()
    successor.report = ProcessReport()
    fleet.processes[:] = [second, successor]
    await fleet.look()
    assert not second.leaving
    successor.report = ProcessReport(ready=True)
    await fleet.look()
    assert second.leaving


def two(settings: Settings) -> ProcessRange:
    return ProcessRange(2, 2)


def ready(kind: Kind) -> ChildProcess:
    """A process that has reached its limit."""
    process = ChildProcess("id", Mock(pid=1), RestartBackoff(), kind)
    process.report = ProcessReport(ready=True, ended=1)
    process.lifetime = Lifetime(tasks=1)
    return process
