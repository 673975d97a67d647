"""Batches: how orders are cut, and how a claim is written and read again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rota.schedule.run import ScheduleRun, run_id
from rota.scheduler.run_batch import FireOrder, PlannedRun, QueuedItem, cut, read_claim, unix_ms, write_claim
from rota.wire.enqueue import Item
from rota.wire.scheduler_steps import BatchNumber, StateChange

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def planned(number: int, *, tasks: int = 1, message: bytes = b"m") -> PlannedRun:
    at = START + timedelta(seconds=number)
    record = ScheduleRun(id=run_id("s", at), schedule_id="s", schedule_version=1, planned_at=at)
    items = (QueuedItem("default", Item(f"{record.id}-{shard}", message)) for shard in range(tasks))
    return PlannedRun(record, tuple(items))


def order(*runs: PlannedRun) -> FireOrder:
    last = runs[-1].record.planned_at if runs else START
    return FireOrder(StateChange("s", unix_ms(last), "{}"), runs)


def test_claim_is_read_as_it_was_written() -> None:
    number, run = BatchNumber(7, 3), planned(0, tasks=2, message=bytes(range(256)))
    item = run.tasks[0].item._replace(when="+2.5", group="g", lock="l", lock_ms=5, scope="queued", mark="é")
    run = replace(run, tasks=(QueuedItem("ü", item), run.tasks[1]))
    assert read_claim(write_claim(number, run)) == (number, run)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"number": [1], "run": "{}", "tasks": []}', b"\xff"])
def test_claim_that_is_broken_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_claim(data)


def test_batches_stay_within_their_limits_and_in_order() -> None:
    orders = [order(planned(number, tasks=30)) for number in range(600)]
    batches = list(cut(orders))
    assert [run for batch in batches for run in batch.runs] == [run for each in orders for run in each.runs]
    assert all(sum(len(run.tasks) for run in batch.runs) <= 1000 for batch in batches)
    assert len(batches) < 25


def test_large_messages_come_into_batches_of_their_own() -> None:
    orders = [order(planned(number, message=b"x" * 1_500_000)) for number in range(3)]
    assert [len(batch.runs) for batch in cut(orders)] == [1, 1, 1]


def test_order_that_is_too_large_is_split_and_each_part_moves_the_last_planned_time() -> None:
    runs = [planned(number, tasks=400) for number in range(5)]
    parts = [part for batch in cut([order(*runs)]) for part in batch.orders]
    assert [run for part in parts for run in part.runs] == runs
    for part in parts:
        assert part.change.planned_ms == unix_ms(part.runs[-1].record.planned_at)


def test_orders_without_runs_are_kept() -> None:
    [batch] = cut([order(), order()])
    assert (len(batch.orders), batch.runs) == (2, [])
