"""The operations of Kratos Admin on rows of a store, with schedulers that fire them: docs/kratos-admin.md links here.

A schedule fires every second here, so a second definition that is live beside the first would be seen within seconds.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from rota.app import Rota
from rota.schedule.definition import ScheduleDefinition
from rota.scheduler.scheduler import Scheduler
from rota.store import Store, open_store
from tests.integration.scheduler.conftest import Hand, eventually

pytestmark = pytest.mark.slow
BY = "ann"


class Panel:
    """What a user of the page does to rows, and the tasks that the rows have made."""

    def __init__(self, app: Rota, store: Store, url: str, hand: Hand) -> None:
        self.app, self.store, self._url, self._hand = app, store, url, hand

    def scheduler(self) -> AbstractAsyncContextManager[Scheduler]:
        return self.app.scheduler(store=self._url)

    async def add(self, name: str = "each", **words: Any) -> str:
        # Each planned time has its run, also on a machine that stops this process for seconds.
        every_second = {"specs": ["@every 1s"], "overlap": "allow", "missed": "all"}
        given = {"name": name, "task_type": "backup", **({} if "kind" in words else every_second), **words}
        return (await self.store.create(ScheduleDefinition.read(given), by=BY)).id

    async def edit(self, row: str, **patch: Any) -> None:
        await self.store.update(row, patch, by=BY)

    async def runs(self, row: str) -> list[int]:
        """The planned times of a row that were enqueued, in seconds."""
        ids = await self._hand.pending()
        return sorted(int(each.rpartition("-")[2]) // 1000 for each in ids if each.startswith(row))

    async def more(self, row: str, count: int = 2) -> list[int]:
        """Wait for more runs, and return all of them."""
        before = len(await self.runs(row))
        await eventually(lambda: self._has(row, before + count))
        return await self.runs(row)

    async def _has(self, row: str, count: int) -> bool:
        return len(await self.runs(row)) >= count

    async def quiet(self, row: str, beside: str) -> list[int]:
        """Let another row fire five times after the edit is live, and check that this row does not fire."""
        await self.more(beside, 2)
        before = await self.runs(row)
        await self.more(beside, 3)
        assert await self.runs(row) == before
        return before

    async def payloads(self, row: str) -> list[tuple[int, bytes]]:
        """The planned time and the payload of each task of a row."""
        found = []
        for task_id in await self._hand.pending():
            if task_id.startswith(row):
                payload = (await self.app.job(task_id, queue="default").info()).payload
                found.append((int(task_id.rpartition("-")[2]) // 1000, payload))
        return sorted(found)


@pytest.fixture
async def panel(app: Rota, hand: Hand, tmp_path: Path) -> AsyncIterator[Panel]:
    url = f"sqlite:///{tmp_path}/rota.db"
    async with open_store(url) as store:
        yield Panel(app, store, url, hand)


def follow_each_other(times: list[int]) -> bool:
    """Whether each second is there once."""
    return times == list(range(times[0], times[0] + len(times)))


async def test_created_row_fires_at_once_without_a_restart(panel: Panel) -> None:
    async with panel.scheduler():
        row = await panel.add()
        assert follow_each_other(await panel.more(row, 3))


async def test_disabled_row_is_created_and_fires_once_it_is_enabled(panel: Panel) -> None:
    beside, row = await panel.add("beside"), await panel.add(enabled=False)
    async with panel.scheduler():
        assert await panel.quiet(row, beside) == []
        await panel.edit(row, enabled=True)
        assert follow_each_other(await panel.more(row))


async def test_edit_replaces_the_definition_and_leaves_one(panel: Panel) -> None:
    row = await panel.add(payload={"edition": 1})
    async with panel.scheduler():
        await panel.more(row)
        await panel.edit(row, payload={"edition": 2})
        await panel.more(row, 4)
    found = await panel.payloads(row)
    assert follow_each_other([time for time, _ in found])
    editions = [payload for _, payload in found]
    assert editions == sorted(editions)
    assert set(editions) == {b'{"edition":1}', b'{"edition":2}'}


async def test_edit_of_another_field_does_not_fire_by_itself(panel: Panel) -> None:
    beside, row = await panel.add("beside"), await panel.add(specs=["@every 1h"])
    async with panel.scheduler():
        await panel.more(beside)
        for number in range(3):
            await panel.edit(row, remark=f"remark {number}")
        assert await panel.quiet(row, beside) == []


async def test_disabled_row_stops_and_makes_up_for_nothing_when_enabled(panel: Panel) -> None:
    beside, row = await panel.add("beside"), await panel.add()
    async with panel.scheduler():
        await panel.more(row)
        await panel.edit(row, enabled=False)
        stopped = await panel.quiet(row, beside)
        await panel.edit(row, enabled=True)
        after = (await panel.more(row))[len(stopped) :]
    assert follow_each_other(after)
    assert after[0] > stopped[-1] + 3


async def test_deleted_row_stops_and_fires_again_once_restored(panel: Panel) -> None:
    beside, row = await panel.add("beside"), await panel.add()
    async with panel.scheduler():
        await panel.more(row)
        await panel.store.delete(row, by=BY)
        before = await panel.quiet(row, beside)
        restored = await panel.store.restore(row, by=BY)
        after = (await panel.more(row))[len(before) :]
    assert after[0] >= restored.updated_at.timestamp() - 1


async def test_start_stop_and_restart_may_be_repeated_in_any_state(panel: Panel) -> None:
    row = await panel.add()
    async with panel.scheduler():
        for enabled in (True, True, False, False, True, False, True, True):
            await panel.edit(row, enabled=enabled)
        times = await panel.more(row, 4)
    assert len(times) == len(set(times))
    assert follow_each_other(times[-3:])


async def test_rows_of_one_task_type_fire_and_stop_on_their_own(panel: Panel) -> None:
    first, second = await panel.add("first"), await panel.add("second")
    async with panel.scheduler():
        await panel.more(first)
        await panel.more(second)
        await panel.edit(first, enabled=False)
        await panel.quiet(first, beside=second)


async def test_delayed_row_fires_once_also_after_edits_and_restarts(panel: Panel) -> None:
    beside = await panel.add("beside")
    row = await panel.add(kind="once", process_in="1s")
    async with panel.scheduler():
        await panel.more(row, 1)
    for number in range(2):
        await panel.edit(row, remark=f"remark {number}")
        async with panel.scheduler():
            await panel.quiet(row, beside)
    assert len(await panel.runs(row)) == 1


async def test_row_that_waits_for_a_result_does_not_fire_at_boot(panel: Panel) -> None:
    beside = await panel.add("beside")
    row = await panel.add(kind="wait")
    for _ in range(2):
        async with panel.scheduler():
            assert await panel.quiet(row, beside) == []


async def test_boot_starts_what_is_enabled_and_restarts_repeat_nothing(panel: Panel) -> None:
    row, stopped = await panel.add(), await panel.add("stopped", enabled=False)
    for _ in range(3):
        async with panel.scheduler():
            await panel.more(row)
    times = await panel.runs(row)
    assert len(times) == len(set(times))
    assert await panel.runs(stopped) == []


async def test_start_of_all_wakes_only_what_was_enabled(panel: Panel) -> None:
    row, stopped = await panel.add(), await panel.add("stopped", enabled=False)
    async with panel.scheduler() as scheduler:
        await panel.more(row)
        await panel.store.set_hold(by=BY, reason="maintenance")

        async def held() -> bool:
            return scheduler.status().tally.skipped["hold"] >= 2

        await eventually(held)
        before = await panel.runs(row)
        await panel.store.lift_hold(by=BY)
        after = await panel.more(row)
    assert after[len(before)] >= before[-1] + 2
    assert await panel.runs(stopped) == []


async def test_several_processes_fire_each_planned_time_once(panel: Panel) -> None:
    row = await panel.add()
    async with panel.scheduler(), panel.scheduler(), panel.scheduler():
        times = await panel.more(row, 4)
    assert follow_each_other(times)


async def test_row_that_cannot_be_read_stops_neither_the_boot_nor_the_others(panel: Panel, tmp_path: Path) -> None:
    import sqlite3

    row, broken = await panel.add(), await panel.add("broken")
    with sqlite3.connect(tmp_path / "rota.db") as connection:
        connection.execute("UPDATE rota_schedules SET definition = '[]' WHERE id = ?", (broken,))
    connection.close()
    async with panel.scheduler():
        await panel.more(row)
    assert await panel.runs(broken) == []


async def test_no_retry_can_be_asked_for(panel: Panel) -> None:
    row = await panel.add(max_retry=0)
    async with panel.scheduler():
        await panel.more(row)
    [task_id, *_] = [each for each in await panel._hand.pending() if each.startswith(row)]
    assert (await panel.app.job(task_id, queue="default").info()).max_retry == 0
