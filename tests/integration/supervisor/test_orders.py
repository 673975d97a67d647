"""Orders over Redis to the processes of a supervisor, for one of them and for the whole fleet."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rota.errors import WorkerNotFound, WorkerOrderFailed
from rota.inspect import ServerSnapshot
from tests.integration.supervisor.conftest import Shift
from tests.servers.process import wait_until


def found(shift: Shift, count: int) -> list[ServerSnapshot]:
    """Wait until this many processes take tasks."""
    wait_until(lambda: len([each for each in seen(shift) if each.status == "active"]) == count)
    return [each for each in seen(shift) if each.status == "active"]


def seen(shift: Shift) -> list[ServerSnapshot]:
    return shift.app.inspector_sync().servers()


def statuses(shift: Shift) -> list[str]:
    return [each.status for each in seen(shift)]


def until(condition: Callable[[], Any]) -> None:
    wait_until(lambda: bool(condition()))


def test_process_that_is_ordered_to_stop_is_replaced_and_a_fleet_that_is_ordered_to_stop_ends(shift: Shift) -> None:
    shift.start(processes=2, shutdown_timeout="20s").ready(2)
    first, second = found(shift, 2)
    shift.enqueue("wait", 4, seconds=1)
    shift.wait_for("start", 4)
    actions = shift.app.actions_sync()

    assert actions.stop_worker(first, by="anna").is_obeyed

    shift.says("passes on an order to stop; another process takes its place")
    shift.ready(3)
    until(lambda: {each.id for each in seen(shift)} & {first.id, second.id} == {second.id})
    one, other = found(shift, 2)
    shift.wait_for("end", 4)
    assert "new one starts in" not in shift.log.read_text(), "that is the line of a crash"

    shift.enqueue("wait", 4, seconds=1)
    shift.wait_for("start", 8)
    assert actions.stop_worker(one, fleet=True).is_obeyed
    with suppress(WorkerOrderFailed, WorkerNotFound):  # it may have ended by then
        actions.stop_worker(other, fleet=True)  # a second order is not a second request to stop

    assert shift.process.wait(30) == 0
    assert len(shift.events("end")) == 8
    assert shift.size("active") == shift.size("pending") == 0
    assert shift.log.read_text().count("is ready") == 3


def test_fleet_is_quieted_and_woken_by_one_order_and_concurrency_belongs_to_each_process(shift: Shift) -> None:
    shift.start(processes=2, concurrency=3).ready(2)
    first, second = found(shift, 2)
    actions = shift.app.actions_sync()

    assert actions.quiet_worker(first, fleet=True).is_obeyed
    until(lambda: statuses(shift) == ["stopped"] * 2)
    shift.enqueue("count")
    refused = actions.wake_worker(first)
    assert not refused.is_obeyed
    assert "whole fleet" in refused.refusal
    assert shift.events("end") == []

    assert actions.wake_worker(first, fleet=True).is_obeyed
    shift.wait_for("end", 1)
    until(lambda: statuses(shift) == ["active"] * 2)
    assert actions.scale_worker(first, 7).is_obeyed
    until(lambda: {each.id: each.concurrency for each in seen(shift)} == {first.id: 7, second.id: 3})
    assert shift.stop() == 0
