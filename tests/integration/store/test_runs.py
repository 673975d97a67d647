"""Runs: recorded, listed, counted and deleted, on each database."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from rota.errors import ConfigError, StoreNotFound
from rota.schedule.run import RunAttempt, ScheduleRun, run_id
from rota.store import Store, open_store
from rota.store.store_values import PlannedTimes
from rota.store.table_sizes import table_sizes
from tests.integration.store.samples import define

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def fired(minute: int = 0, schedule: str = "s", **words: Any) -> ScheduleRun:
    planned = NOON + minute * MINUTE
    first = {"id": run_id(schedule, planned), "schedule_id": schedule, "schedule_version": 1, "planned_at": planned}
    late = {"queue": "default", "task_type": "t", "task_ids": ("a",), "enqueued_at": planned + timedelta(seconds=1)}
    return ScheduleRun(**{**first, **late, **words})


def ended(minute: int = 0, outcome: str = "succeeded", seconds: float = 10, **words: Any) -> ScheduleRun:
    start = NOON + minute * MINUTE + timedelta(seconds=2)
    return fired(minute, outcome=outcome, started_at=start, ended_at=start + timedelta(seconds=seconds), **words)


def skipped(minute: int, reason: str = "paused", until: int | None = None, **words: Any) -> ScheduleRun:
    count = 1 if until is None else until - minute + 1
    end = None if until is None else NOON + until * MINUTE
    none = {"queue": "", "task_type": "", "task_ids": (), "enqueued_at": None}
    return fired(minute, outcome="skipped", skip_reason=reason, skip_count=count, skip_until=end, **{**none, **words})


async def all_runs(store: Store, **words: Any) -> list[ScheduleRun]:
    return list(reversed((await store.runs(**words)).items))


async def test_run_is_read_as_it_was_recorded(store: Store) -> None:
    attempts = (
        RunAttempt(worker="host:1", started_at=NOON, ended_at=NOON + MINUTE, error="böse", traceback="line\n" * 9),
        RunAttempt(worker="host:2", started_at=NOON + MINUTE),
    )
    run = ended(
        result=b"\x00\xff{}",
        error="x" * 100_000,
        note="…",
        by="ann",
        cause="manual",
        task_ids=("a-0", "ü"),
        attempts=attempts,
        log=("2026-03-01T12:00:02.000Z ü", "2026-03-01T12:00:03.000Z "),
    )
    await store.record_runs([run])

    assert await store.run(run.id) == run
    assert await all_runs(store) == [replace(run, attempts=(), log=())]
    with pytest.raises(StoreNotFound):
        await store.run("s-1")


async def test_text_that_a_database_refuses_is_mended_because_a_run_must_be_recorded(store: Store) -> None:
    attempt = RunAttempt(worker="w\0", started_at=NOON, error="a\0b", traceback="\udc80")
    await store.record_runs(
        [ended(error="a\0\ud800", note="\0", by="b" * 500, attempts=(attempt,), log=("a\0", "\udc80"))]
    )

    found = await store.run(ended().id)
    assert (found.error, found.note, len(found.by)) == ("a\ufffd?", "\ufffd", 200)
    assert found.attempts[0].error == "a\ufffdb"
    assert found.log == ("a\ufffd", "?")


async def test_later_records_add_to_a_run_in_any_order(store: Store) -> None:
    done = ended(attempts=(RunAttempt(worker="w", started_at=NOON),), log=("1 a", "2 b"))
    for order in ([fired(), done], [done, fired()], [done, done, fired(), fired()]):
        await store.record_runs(order)
        assert await store.run(done.id) == done
    assert (await store.progress())["s"].fired == 1


async def test_outcome_is_final_except_lost(store: Store) -> None:
    await store.record_runs([ended(outcome="succeeded"), ended(1, outcome="lost")])
    await store.record_runs([ended(outcome="lost"), ended(1, outcome="failed", error="found later")])

    first, second = await all_runs(store)
    assert (first.outcome, second.outcome, second.error) == ("succeeded", "failed", "found later")
    assert (await store.progress())["s"].failed == 1


async def test_skips_in_a_row_for_one_reason_are_one_run(store: Store) -> None:
    batches = [
        [skipped(0), skipped(1), skipped(2)],
        [skipped(3, until=9, note="paused by ann")],
        [skipped(10, "overlap")],
        [ended(11), skipped(12, "overlap")],
        [skipped(13, "overlap", until=20)],
    ]
    for batch in [*batches, *batches]:  # each comes twice
        await store.record_runs(batch)
        await store.record_runs(batch)

    assert [(run.skip_reason, run.skip_count, run.skip_until) for run in await all_runs(store)] == [
        ("paused", 10, NOON + 9 * MINUTE),
        ("overlap", 1, None),
        (None, 0, None),
        ("overlap", 9, NOON + 20 * MINUTE),
    ]
    assert (await all_runs(store))[0].note == "paused by ann"
    progress = (await store.progress())["s"]
    assert (progress.fired, progress.skipped, progress.missed, progress.failed) == (1, 20, 0, 0)


async def test_skips_of_several_schedules_do_not_mix(store: Store) -> None:
    await store.record_runs([skipped(minute, schedule=name) for minute in range(3) for name in ("a", "b")])

    assert sorted((run.schedule_id, run.skip_count) for run in await all_runs(store)) == [("a", 3), ("b", 3)]


async def test_progress_counts_each_run_once(store: Store) -> None:
    records = [
        ended(0, "failed"),
        skipped(1, "missed", until=4),
        ended(5, "expired"),
        ended(6, "cancelled"),
        fired(7),
        ended(8, "quarantined"),
    ]
    for _ in range(2):
        await store.record_runs(records)
    progress = (await store.progress(["s", "nothing"]))["s"]
    assert (progress.fired, progress.failed, progress.skipped, progress.missed) == (5, 3, 4, 4)
    assert (progress.failures_in_row, progress.last_outcome) == (3, "quarantined")
    assert progress.last_run_id == ended(8).id

    await store.record_runs([ended(7)])
    progress = (await store.progress())["s"]
    assert (progress.failures_in_row, progress.last_outcome, progress.fired) == (0, "succeeded", 5)


async def test_refused_task_is_a_failure_until_a_run_succeeds(store: Store) -> None:
    for minute in range(3):  # one row of skips, and so one failure
        await store.record_runs([skipped(minute, "refused")])
    progress = (await store.progress(["s"]))["s"]
    assert (progress.failures_in_row, progress.last_outcome, progress.failed) == (1, "failed", 1)
    assert (progress.fired, progress.skipped) == (0, 3)

    await store.record_runs([ended(4)])
    progress = (await store.progress(["s"]))["s"]
    assert (progress.failures_in_row, progress.last_outcome) == (0, "succeeded")


async def test_last_planned_time_never_moves_back(store: Store) -> None:
    await store.record_runs([fired()], planned=[PlannedTimes(schedule_id="s", last_planned_at=NOON)])
    await store.save_planned([PlannedTimes(schedule_id="s", last_planned_at=NOON - MINUTE, next_due_at=NOON + MINUTE)])

    progress = (await store.progress(["s"]))["s"]
    assert (progress.last_planned_at, progress.next_due_at, progress.fired) == (NOON, NOON + MINUTE, 1)


async def test_due_schedules_are_found_unless_they_are_deleted_or_disabled(store: Store) -> None:
    ids = [(await store.create(define(name), by="ann")).id for name in ("a", "b", "c", "d")]
    await store.update(ids[1], {"enabled": False}, by="ann")
    await store.delete(ids[2], by="ann")
    due = [PlannedTimes(schedule_id=each, next_due_at=NOON) for each in (*ids[:3], "of the code")]
    await store.save_planned([*due, PlannedTimes(schedule_id=ids[3], next_due_at=NOON + MINUTE)])

    assert {each.schedule_id for each in await store.due_before(NOON + MINUTE)} == {ids[0], "of the code"}
    assert await store.due_before(NOON) == ()


async def test_two_recorders_at_once_lose_and_double_nothing(store: Store, store_url: str) -> None:
    records = [ended(minute, schedule=name) for minute in range(20) for name in ("a", "b")]
    records += [skipped(minute, schedule=name) for minute in range(20, 40) for name in ("a", "b")]
    async with open_store(store_url) as other:
        await asyncio.gather(*(each.record_runs(records) for each in (store, other, store, other)))

    assert len(await all_runs(store)) == 42
    assert [(each.fired, each.skipped) for each in (await store.progress()).values()] == [(20, 20)] * 2


async def test_more_records_than_one_transaction_takes_are_recorded(store: Store) -> None:
    await store.record_runs(fired(minute) for minute in range(1203))

    assert (await store.progress())["s"].fired == 1203


async def test_runs_are_listed_by_cursor_and_filter(store: Store) -> None:
    same_time = [fired(0, schedule=name) for name in ("x", "y", "z")]
    await store.record_runs([*same_time, ended(1), ended(2, "failed", cause="manual"), fired(3), ended(4, "failed")])

    async def ids(**words: Any) -> list[str]:
        return [run.id for run in (await store.runs(**words)).items]

    assert await ids(schedule_id="s", outcome="failed") == [fired(4).id, fired(2).id]
    assert await ids(cause="manual") == [fired(2).id]
    assert await ids(since=NOON + MINUTE, until=NOON + 3 * MINUTE) == [fired(2).id, fired(1).id]
    assert [run.id for run in (await store.open_runs("s")).items] == [fired(3).id]

    for read in (store.runs, store.open_runs):
        found: list[str] = []
        cursor = None
        while True:
            page = await read(limit=2, cursor=cursor)
            found += [run.id for run in page.items]
            if (cursor := page.next) is None:
                break
        assert len(found) == len(set(found)) == {"runs": 7, "open_runs": 4}[read.__name__]


async def test_statistics_of_the_last_runs(store: Store) -> None:
    await store.record_runs(
        [ended(0, "failed", 100), *(ended(minute, seconds=minute) for minute in range(1, 20)), skipped(20), fired(21)]
    )

    found = await store.statistics("s")
    assert (found.runs, found.succeeded, found.failed, found.streak) == (20, 19, 1, 19)
    assert found.success_rate == 0.95
    assert (found.duration_p50, found.duration_p95) == (timedelta(seconds=10), timedelta(seconds=19))
    assert (found.lateness_p50, found.lateness_p95) == (timedelta(seconds=1), timedelta(seconds=1))
    assert (await store.statistics("s", last=5)).runs == 5
    assert (await store.statistics("nothing")).success_rate is None

    await store.record_runs([ended(30, "failed"), ended(31, "cancelled"), ended(32, "lost")])
    assert (await store.statistics("s")).streak == -2


async def test_report_counts_the_days_of_a_time_zone(store: Store) -> None:
    await store.record_runs(
        [
            ended(0),
            skipped(1, until=40),
            ended(300, "expired"),
            ended(301, "cancelled"),
            fired(302),
            ended(-300, schedule="other"),
        ]
    )
    # Noon in UTC is 20:00 in Shanghai, so that the runs after 240 minutes belong to the next day.
    first, second = await store.report(date(2026, 3, 1), date(2026, 3, 2), timezone="Asia/Shanghai")

    assert (first.succeeded, first.skipped, first.failed, first.running) == (2, 40, 0, 0)
    assert (second.failed, second.cancelled, second.running, second.succeeded) == (1, 1, 1, 0)
    [own] = await store.report(date(2026, 3, 1), date(2026, 3, 1), schedule_id="s")
    assert (own.succeeded, own.failed, own.day) == (1, 1, date(2026, 3, 1))
    with pytest.raises(ConfigError):
        await store.report(date(2026, 3, 2), date(2026, 3, 1))


async def test_old_runs_are_trimmed_by_age_and_number(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.store.run_retention._BATCH", 4)
    monkeypatch.setattr("rota.store.run_retention._SCHEDULES", 2)
    monkeypatch.setattr("rota.store.run_retention.now", lambda: NOON + timedelta(days=10))
    await store.record_runs([fired(-9, schedule="a"), skipped(-8, until=4 * 24 * 60, schedule="a")])
    for name in ("a", "b", "c", "d", "e"):
        await store.record_runs(
            [ended(minute, schedule=name, attempts=(RunAttempt(worker="w", started_at=NOON),)) for minute in range(10)]
        )
        await store.record_runs([ended(24 * 60 * 5 + minute, schedule=name) for minute in range(6)])

    assert await store.trim_runs(age=timedelta(days=8), most=8) == 50
    left = await all_runs(store)
    assert [run.schedule_id for run in left][:2] == ["a", "a"]  # one is not over, one skips until less than 8 days ago
    assert len(left) == 32
    assert await store.trim_runs(age=timedelta(days=8), most=4) == 11
    assert [len(await all_runs(store, schedule_id=name)) for name in ("a", "b", "e")] == [5, 4, 4]
    assert await store.trim_runs(age=timedelta(days=8), most=4) == 0
    assert (await store.progress())["b"].fired == 16


async def test_log_lines_go_with_their_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.store.run_retention.now", lambda: NOON + timedelta(days=10))
    await store.record_runs([ended(log=("1 a",)), ended(24 * 60 * 5, log=("2 b",))])
    assert await store.trim_runs(age=timedelta(days=8), most=9) == 1
    assert {size.name: size.rows for size in await table_sizes(store.database)}["rota_run_logs"] == 1


async def test_run_that_cannot_be_read_is_reported_and_replaced(store: Store) -> None:
    await store.record_runs([fired(0), fired(1)])

    async def damage(connection: Any) -> None:
        await connection.execute(text("UPDATE rota_runs SET task_ids = '7' WHERE id = :id"), {"id": fired(1).id})

    await store.database.write(damage)
    page = await store.runs()
    assert (page.items, [problem.id for problem in page.problems]) == ((fired(0),), [fired(1).id])

    await store.record_runs([ended(1)])
    assert (await store.runs()).items == (ended(1), fired(0))


async def test_other_processes_can_write_between_the_parts_of_many_records(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaths: list[int] = []

    async def breathe() -> None:
        breaths.append(len((await store.runs("s", limit=1)).items))

    monkeypatch.setattr(store.database, "breathe", breathe)
    runs = [fired(minute) for minute in range(1001)]

    await store.record_runs(runs[:500])
    assert breaths == []
    await store.record_runs(runs)
    assert breaths == [1, 1]
