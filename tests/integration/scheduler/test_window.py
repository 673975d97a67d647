"""A store with more schedules than a scheduler holds: it reads those that are due soon, and drops the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rota.app import Rota
from rota.errors import StoreError
from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.scheduler import schedule_window, store_source
from rota.scheduler.agenda import Agenda
from rota.scheduler.scheduler import Scheduler
from rota.store import Store, open_store
from rota.store.due_window import Postponed
from tests.integration.scheduler.conftest import Hand, eventually

MOST_KEPT = 4
NUMBER = 20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a handful of schedules exceeds."""
    monkeypatch.setattr(store_source, "MOST_KEPT", MOST_KEPT)
    monkeypatch.setattr(store_source, "PAGE", 3)
    monkeypatch.setattr(store_source, "WINDOW", timedelta(seconds=1))
    monkeypatch.setattr(store_source, "LOOK_AHEAD", timedelta(seconds=0.2))
    monkeypatch.setattr(schedule_window, "DROP_EVERY_SECONDS", 0.05)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/rota.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        yield store


async def made(store: Store, name: str, spec: str = "@yearly", **words: Any) -> StoredSchedule:
    given = {"name": name, "task_type": "t", "specs": [spec], "overlap": "allow", **words}
    return await store.create(ScheduleDefinition.read(given), by="anna")


async def many(store: Store, spec: str = "@yearly") -> list[StoredSchedule]:
    return [await made(store, f"s{number}", spec) for number in range(NUMBER)]


async def holds_few(scheduler: Scheduler) -> bool:
    return scheduler.status().schedules <= MOST_KEPT


async def fired(hand: Hand, schedule: StoredSchedule) -> list[int]:
    """The planned times of the runs of a schedule, in milliseconds."""
    ids = [each.rpartition("-") for each in await hand.pending()]
    return sorted(int(at) for name, _, at in ids if name == schedule.id)


async def test_schedules_that_are_due_late_are_not_read(app: Rota, hand: Hand, store: Store, url: str) -> None:
    await many(store)
    each = await made(store, "each", "@every 1s")
    async with app.scheduler(store=url) as scheduler:

        async def twice() -> bool:
            return len(await fired(hand, each)) >= 2

        await eventually(twice)
        assert scheduler.status().schedules <= MOST_KEPT + 2


async def test_rows_of_an_older_rota_are_looked_at_once_and_dropped(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    each = await made(store, "each", "@every 1s")
    await many(store)
    await store.database.write(
        lambda connection: connection.execute(text("UPDATE rota_schedules SET due_at = '1970-01-01 00:00:00.000000'"))
    )
    async with app.scheduler(store=url) as scheduler:

        async def all_are_postponed() -> bool:
            found = await store.due_schedules(until=each.created_at + timedelta(days=1), limit=NUMBER)
            return len(found.schedules) <= MOST_KEPT

        await eventually(all_are_postponed)
        await eventually(lambda: holds_few(scheduler))
        count = len(await fired(hand, each))

        async def goes_on() -> bool:
            return len(await fired(hand, each)) > count

        await eventually(goes_on)


async def test_schedules_that_are_dropped_between_their_fires_miss_none(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    schedules = await many(store, "@every 4s")
    async with app.scheduler(store=url) as scheduler:

        async def all_fired() -> bool:
            return all([len(await fired(hand, each)) >= 2 for each in schedules])

        await eventually(lambda: holds_few(scheduler))
        await eventually(all_fired)
    for each in schedules:
        assert each.since is not None
        start = int(each.since.timestamp() * 1000)
        times = await fired(hand, each)
        assert times == [start + 4000 * number for number in range(1, len(times) + 1)]


async def test_order_finds_a_schedule_that_is_not_held(app: Rota, hand: Hand, store: Store, url: str) -> None:
    await many(store)
    last = await made(store, "last", "@yearly", queue="low", then=[{"on": "always", "schedule": "s3"}])
    async with app.scheduler(store=url) as scheduler:
        await eventually(lambda: holds_few(scheduler))
        run = await app.schedule_handle("last").run()
        assert run.schedule_id == last.id
        needed = (await store.get(last.id)).due_at
        assert needed is not None
        assert last.due_at is not None
        assert needed < last.due_at
        keys = hand.broker.keys.queue("low")
        await hand.broker.admin.execute("LREM", keys.pending, 0, run.id)
        await hand.broker.admin.execute("HSET", keys.task(run.id), "state", "completed")

        async def followed() -> bool:
            return len(await hand.pending()) == 1

        await eventually(followed)
        await eventually(lambda: holds_few(scheduler))
        assert (await app.schedule_handle("last").skip_next())[0] == last.due_at


async def test_edit_of_a_schedule_that_is_not_held_is_in_force_at_once(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    schedules = await many(store)
    async with app.scheduler(store=url) as scheduler:
        await eventually(lambda: holds_few(scheduler))
        await store.update(schedules[-1].id, {"specs": ["@every 1s"]}, by="anna")

        async def fires() -> bool:
            return bool(await fired(hand, schedules[-1]))

        await eventually(fires)


async def test_edit_of_a_calendar_reaches_schedules_that_are_not_held(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    every_day_off = Calendar.read({"name": "office", "days_off": ["2026-01-01..2050-12-31"]})
    await store.save_calendar(every_day_off, by="anna")
    await many(store)
    dated = await made(store, "dated", "@every 1s", calendar="office", on_day_off="next_working_day")
    async with app.scheduler(store=url) as scheduler:

        async def is_postponed() -> bool:
            found = await store.get(dated.id)
            return found.due_at is not None and found.due_at > dated.created_at + timedelta(days=9)

        await eventually(is_postponed)
        await eventually(lambda: holds_few(scheduler))
        await store.save_calendar(Calendar.read({"name": "office", "days_off": ["2025-01-01"]}), by="anna")

        async def fires() -> bool:
            return bool(await fired(hand, dated))

        await eventually(fires)


async def test_edit_of_a_calendar_reaches_a_schedule_that_is_held_and_read_again(
    app: Rota, hand: Hand, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agenda, "idle_after", lambda agenda, moment, most: [])
    await store.save_calendar(Calendar.read({"name": "office", "days_off": ["2026-01-01..2050-12-31"]}), by="anna")
    dated = await made(store, "dated", "@every 1s", calendar="office", on_day_off="next_working_day")
    await many(store)
    async with app.scheduler(store=url) as scheduler:

        async def holds_many() -> bool:
            return scheduler.status().schedules >= MOST_KEPT

        async def fires() -> bool:
            return bool(await fired(hand, dated))

        await eventually(holds_many)
        await store.save_calendar(Calendar.read({"name": "office", "days_off": ["2025-01-01"]}), by="anna")
        await eventually(fires)


async def test_schedule_that_is_deleted_while_it_is_dropped_does_not_come_back(
    app: Rota, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many(store)
    put_deleted, postpone = Agenda.put_deleted, Store.postpone
    deleted: list[str] = []
    agendas: list[Agenda] = []
    gone = asyncio.Event()

    def note(agenda: Agenda, schedule: StoredSchedule, *words: Any) -> None:
        put_deleted(agenda, schedule, *words)
        agendas.append(agenda)
        gone.set()

    async def delete_first(self: Store, epoch: int, found: Sequence[Postponed], *, read: int) -> bool:
        if not deleted:
            deleted.append(found[0].schedule.id)
            await store.delete(deleted[0], by="anna")
            await gone.wait()
            raise StoreError("away")
        return await postpone(self, epoch, found, read=read)

    monkeypatch.setattr(Agenda, "put_deleted", note)
    monkeypatch.setattr(Store, "postpone", delete_first)
    async with app.scheduler(store=url):
        await asyncio.wait_for(gone.wait(), 30)
        last = await made(store, "last", "@every 1s")

        async def is_held() -> bool:
            return last.id in agendas[0].entries

        await eventually(is_held)
        assert deleted[0] not in agendas[0].entries


async def test_new_leader_takes_over_what_another_one_has_dropped(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    schedules = await many(store, "@every 3s")

    async def all_fired(times: int) -> bool:
        return all([len(await fired(hand, each)) >= times for each in schedules])

    async with app.scheduler(store=url) as first:
        await eventually(lambda: all_fired(1))
        async with app.scheduler(store=url) as second:
            assert first.leading
            first.stop()
            await eventually(lambda: all_fired(3))
            assert second.leading
    for each in schedules:
        times = await fired(hand, each)
        assert [after - before for before, after in pairwise(times)] == [3000] * (len(times) - 1)
