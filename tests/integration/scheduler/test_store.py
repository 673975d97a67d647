"""Schedules of a store: edits are in force at once, runs are recorded, and neither fault stops the other side."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rota.app import Rota
from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition
from rota.scheduler import recorder
from rota.store import Store, open_store
from tests.integration.scheduler.conftest import Hand, eventually


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/rota.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        yield store


def each_second(name: str = "each", **words: object) -> ScheduleDefinition:
    return ScheduleDefinition.read(
        {"name": name, "task_type": "t", "specs": ["@every 1s"], "overlap": "allow", **words}
    )


async def at_least(hand: Hand, count: int, queue: str = "default") -> bool:
    return len(await hand.pending(queue)) >= count


async def test_schedule_fires_from_its_creation_until_it_is_deleted(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    async with app.scheduler(store=url) as scheduler:
        made = await store.create(each_second(), by="anna")
        await eventually(lambda: at_least(hand, 2))
        await store.delete(made.id, expected_version=1, by="anna")

        async def gone() -> bool:
            return scheduler.status().schedules == 0

        await eventually(gone)
        fired = len(await hand.pending())
        await store.create(each_second("other", queue="low"), by="anna")
        await eventually(lambda: at_least(hand, 2, "low"))
        assert len(await hand.pending()) == fired


async def test_deletion_while_no_scheduler_leads_records_the_times_before_it(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    made = await store.create(each_second(), by="anna")
    async with app.scheduler(store=url):
        await eventually(lambda: at_least(hand, 1))
    fired = sorted(int(each.rpartition("-")[2]) // 1000 for each in await hand.pending())

    async def two_more_are_due() -> bool:
        return datetime.now(UTC).timestamp() > fired[-1] + 2.1

    await eventually(two_more_are_due)
    gone = await store.delete(made.id, by="anna")

    async def written() -> bool:
        return bool((await store.runs(made.id, outcome="skipped")).items)

    async with app.scheduler(store=url):
        await eventually(written)
    [run] = (await store.runs(made.id, outcome="skipped")).items
    assert run.skip_reason == "deleted"
    assert run.skip_until is not None
    assert gone.deleted_at is not None
    assert run.planned_at.timestamp() // 1 == fired[-1] + 1
    assert gone.deleted_at - timedelta(seconds=1) <= run.skip_until <= gone.deleted_at
    await store.create(each_second("other", queue="low"), by="anna")
    async with app.scheduler(store=url):  # it is not recorded again
        await eventually(lambda: at_least(hand, 1, "low"))
    assert (await store.runs(made.id, outcome="skipped")).items == (run,)


async def test_edit_moves_the_schedule_and_each_planned_time_fires_once(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    made = await store.create(each_second(), by="anna")
    async with app.scheduler(store=url):
        await eventually(lambda: at_least(hand, 1))
        await store.update(made.id, {"queue": "low"}, expected_version=1, by="anna")
        await eventually(lambda: at_least(hand, 2, "low"))
    ids = [*await hand.pending(), *await hand.pending("low")]
    times = sorted(int(each.rpartition("-")[2]) // 1000 for each in ids)
    assert times == list(range(times[0], times[0] + len(times)))


async def test_runs_are_recorded_with_their_outcomes(app: Rota, store: Store, url: str) -> None:
    @app.task("report")
    async def report(ok: bool) -> str:
        if not ok:
            raise ValueError("no paper")
        return "printed"

    good = await store.create(each_second("good", task_type="report", payload={"ok": True}), by="anna")
    bad = await store.create(each_second("bad", task_type="report", payload={"ok": False}, max_retry=0), by="anna")
    async with app.scheduler(store=url), app.worker():

        async def done() -> bool:
            found = await store.runs(good.id, outcome="succeeded")
            failed = await store.runs(bad.id, outcome="failed")
            return bool(found.items and failed.items)

        await eventually(done)
    [run, *_] = (await store.runs(good.id, outcome="succeeded")).items
    assert (run.result, run.queue, run.task_ids, run.schedule_version) == (b'"printed"', "default", (run.id,), 1)
    assert run.enqueued_at is not None
    assert run.ended_at is not None
    [failed, *_] = (await store.runs(bad.id, outcome="failed")).items
    assert "no paper" in failed.error
    [attempt] = (await store.run(failed.id)).attempts
    assert "no paper" in attempt.error
    assert failed.started_at == attempt.started_at


async def test_hold_stops_all_schedules_until_it_is_lifted(app: Rota, hand: Hand, store: Store, url: str) -> None:
    made = await store.create(each_second(), by="anna")
    await store.set_hold(by="ben", reason="migration")
    async with app.scheduler(store=url) as scheduler:

        async def held() -> bool:
            return scheduler.status().tally.skipped["hold"] >= 2

        await eventually(held)
        assert await hand.pending() == []
        await store.lift_hold(by="ben")
        await eventually(lambda: at_least(hand, 1))

        async def written() -> bool:
            return any(run.skip_count >= 2 for run in (await store.runs(made.id, outcome="skipped")).items)

        await eventually(written)
    [skipped] = (await store.runs(made.id, outcome="skipped")).items
    assert skipped.skip_reason == "hold"


async def test_firing_goes_on_while_the_store_is_away(
    app: Rota, hand: Hand, store: Store, url: str, tmp_path: Path
) -> None:
    await store.create(each_second(), by="anna")
    async with app.scheduler(store=url) as scheduler:
        await eventually(lambda: at_least(hand, 1))
        shutil.move(tmp_path / "rota.db", tmp_path / "away.db")
        (tmp_path / "rota.db").mkdir()
        assert scheduler.leading
        fired = len(await hand.pending())
        await eventually(lambda: at_least(hand, fired + 2))


async def test_redis_that_was_emptied_does_not_repeat_a_planned_time(
    app: Rota, hand: Hand, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SAVE_EVERY_SECONDS", 0.5)
    made = await store.create(ScheduleDefinition(name="slow", task_type="t", specs=["@every 2s"]), by="anna")
    async with app.scheduler(store=url):
        await eventually(lambda: at_least(hand, 1))

        async def saved() -> bool:
            progress = await store.progress([made.id])
            return progress[made.id].last_planned_at is not None if made.id in progress else False

        await eventually(saved)
    last = (await store.progress([made.id]))[made.id].last_planned_at
    assert last is not None
    await hand.lose_everything()
    async with app.scheduler(store=url):
        await eventually(lambda: at_least(hand, 1))
    [first, *_] = await hand.pending()
    planned = datetime.fromtimestamp(int(first.rpartition("-")[2]) / 1000, UTC)
    assert planned > last
    assert (planned - made.updated_at.replace(microsecond=made.updated_at.microsecond // 1000 * 1000)) % timedelta(
        seconds=2
    ) == timedelta(0)


async def test_schedule_whose_calendar_is_missing_is_shown_and_fires_once_it_is_there(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    await store.create(each_second("late", calendar="office"), by="anna")
    await store.create(each_second("other", queue="low"), by="anna")
    async with app.scheduler(store=url) as scheduler:
        await eventually(lambda: at_least(hand, 1, "low"))
        assert scheduler.status().spoilt == ("late",)
        await store.save_calendar(Calendar.read({"name": "office", "days_off": ["02-29"]}), by="anna")
        await eventually(lambda: at_least(hand, 1))
        assert scheduler.status().spoilt == ()


async def test_times_before_an_edit_that_no_scheduler_saw_are_decided_by_the_version_before_it(
    app: Rota, hand: Hand, store: Store, url: str
) -> None:
    made = await store.create(each_second(specs=["* * * * * *"], missed="all"), by="anna")
    async with app.scheduler(store=url):
        await eventually(lambda: at_least(hand, 1))
    last = max(int(each.rpartition("-")[2]) for each in await hand.pending())

    async def passed() -> bool:
        return datetime.now(UTC).timestamp() > last / 1000 + 2.2

    await eventually(passed)
    edited = await store.update(made.id, {"specs": ["0 0 1 1 *"]}, by="anna")
    async with app.scheduler(store=url):
        await eventually(lambda: at_least(hand, 3))
    times = sorted(int(each.rpartition("-")[2]) for each in await hand.pending())
    assert times == list(range(times[0], int(edited.updated_at.timestamp() * 1000) + 1, 1000))


async def test_entries_of_schedules_that_do_not_fire_say_why(app: Rota, store: Store, url: str) -> None:
    until = (datetime.now(UTC) + timedelta(days=400)).replace(microsecond=0)
    for name, words in (("fires", {}), ("stopped", {"enabled": False}), ("paused", {"pause_until": until})):
        await store.create(each_second(name, specs=["@daily"], task_type=name, **words), by="anna")
    shown: dict[str, tuple[str, datetime | None]] = {}

    async def is_shown(*pauses: str) -> bool:
        entries = await app.inspector().scheduler_entries()
        shown.update((entry.task_type, (entry.pause, entry.next_at)) for entry in entries)
        return tuple(shown[name][0] for name in ("fires", "stopped", "paused") if name in shown) == pauses

    async with app.scheduler(store=url):
        await eventually(lambda: is_shown("", "stopped", "paused"))
        soon, never, later = (shown[name][1] for name in ("fires", "stopped", "paused"))
        assert never is None
        assert soon is not None
        assert later is not None
        assert (soon < until, until <= later <= until + timedelta(days=1)) == (True, True)
        await store.set_hold(by="ben")
        await eventually(lambda: is_shown("held", "stopped", "held"))
        assert shown["fires"][1] is None
        await store.lift_hold(by="ben")
        await eventually(lambda: is_shown("", "stopped", "paused"))
