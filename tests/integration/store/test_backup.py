"""Dumps and loads, between every two kinds of databases."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rota.errors import ConfigError, StoreConflict, StoreSchemaError
from rota.schedule.calendar import Calendar
from rota.schedule.run import RunAttempt
from rota.store import Store, open_store
from rota.store.migrations import REVISIONS
from rota.store.store_values import PlannedTimes, ScheduleProgress
from tests.integration.store.conftest import SERVERS, url_on
from tests.integration.store.samples import define
from tests.integration.store.test_runs import NOON, ended, fired, skipped
from tests.integration.store.test_schedules import EVERY_FIELD


async def fill(store: Store) -> None:
    made = await store.create(define("月报", **EVERY_FIELD), by="zoë")
    await store.update(made.id, {"remark": "new"}, by="bob")
    gone = await store.create(define("gone"), by="ann")
    await store.delete(gone.id, by="ann")
    await store.save_calendar(Calendar.read({"name": "week", "days_off": ["sat"]}), by="ann")
    await store.set_hold(by="eve", reason="deploy", until=datetime(2030, 1, 1, tzinfo=UTC))
    attempts = (RunAttempt(worker="w", started_at=NOON, error="böse"), RunAttempt(worker="v", started_at=NOON))
    planned = PlannedTimes(schedule_id="s", last_planned_at=NOON)
    records = [
        ended(0, "failed", attempts=attempts, result=b"\x00\xff", log=("1 ö", "2")),
        fired(1),
        skipped(2, until=9),
    ]
    await store.record_runs(records, planned=[planned])


async def dumped(store: Store) -> list[str]:
    lines: list[str] = []
    report = await store.dump(lines.append)
    assert (report.total, report.problems) == (len(lines) - 2, [])
    return lines


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
async def test_store_moves_to_any_database_as_it_is(
    store: Store, kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.store.backup._PART", 2)
    await fill(store)
    lines = await dumped(store)
    (tmp_path / "other").mkdir()

    async with open_store(url_on(kind, request, tmp_path / "other"), migrate=True) as other:
        assert (await other.load(lines)).total == len(lines) - 2
        assert await dumped(other) == lines
        assert await other.changed_since(0) == await store.changed_since(0)
        assert (await other.runs()).items == (await store.runs()).items
        assert await other.run(ended(0).id) == await store.run(ended(0).id)
        assert await other.progress() == await store.progress()
        assert await other.hold() == await store.hold()
        check = await other.verify_audit()
        assert (check, check.fault) == (await store.verify_audit(), "")
        # Edits go on where they were.
        made = await other.create(define("next"), by="ann")
        assert made.revision == (await store.changed_since(0)).revision + 1


async def test_dump_is_one_moment_while_others_edit(store: Store, store_url: str) -> None:
    await fill(store)  # 6 edits, 2 schedules
    lines: list[str] = []

    async with open_store(store_url) as other:

        async def edit() -> None:
            for number in range(20):
                await other.create(define(f"s{number}"), by="ann")

        edits = asyncio.create_task(edit())
        await store.dump(lines.append)
        await edits
    end = json.loads(lines[-1])["end"]
    [revision] = [json.loads(line)["row"]["value"] for line in lines if '"name":"revision"' in line]
    assert revision == end["audit"] == end["schedules"] + 4 == end["schedule_versions"] + 3


async def test_filled_store_is_not_loaded_over(store: Store) -> None:
    await fill(store)
    lines = await dumped(store)

    with pytest.raises(StoreConflict, match=r"rows? already"):
        await store.load(lines)
    assert await dumped(store) == lines


def broken(lines: list[str]) -> dict[str, tuple[list[str], type[Exception], str]]:
    newer = json.dumps({"rota_store": 1, "revision": "9999"})
    run = json.dumps({"table": "runs", "row": {"id": "x", "planned_at": "noon"}})
    return {
        "nothing": ([], ConfigError, "not a dump"),
        "another file": (["{}"], ConfigError, "not a dump"),
        "cut off": (lines[:-1], ConfigError, "ends early"),
        "cut in a line": ([*lines[:-2], lines[-2][:20]], ConfigError, f"Line {len(lines) - 1} .* not valid JSON"),
        "a missing row": ([*lines[:3], *lines[4:]], ConfigError, "lacks rows"),
        "another table": ([lines[0], '{"table":"x","row":{}}'], ConfigError, "Line 2"),
        "another column": ([lines[0], '{"table":"runs","row":{"x":1}}'], ConfigError, "column 'x'"),
        "a wrong time": ([lines[0], run], ConfigError, "Line 2 .* time"),
        "a newer dump": ([newer, *lines[1:]], StoreSchemaError, "newer version"),
        "two dumps": ([*lines, *lines], ConfigError, "after the end"),
    }


async def test_dump_of_an_earlier_revision_is_loaded(store: Store) -> None:
    state = {"schedule_id": "s", "last_planned_at": NOON.isoformat(), "next_due_at": None}
    lines = [
        {"rota_store": 1, "revision": REVISIONS[0]},
        {"table": "schedule_state", "row": state},
        {"end": {"schedule_state": 1}},
    ]
    await store.load(map(json.dumps, lines))

    assert (await store.progress())["s"] == ScheduleProgress(schedule_id="s", last_planned_at=NOON)


async def test_dump_that_is_not_whole_leaves_the_store_empty(store: Store, tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/source.db") as source:
        await fill(source)
        lines = await dumped(source)

    for case, (wrong, kind, words) in broken(lines).items():
        with pytest.raises(kind, match=words):
            await store.load(wrong)
        assert (await store.schedules()).items == (), case
    await store.load(lines)
    assert await dumped(store) == lines


async def test_row_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/rota.db") as store:
        made = await store.create(define(), by="ann")

        async def act(connection: Any) -> None:
            await connection.execute(text("UPDATE rota_schedules SET definition = '{oops'"))

        await store.database.write(act)
        lines: list[str] = []
        report = await store.dump(lines.append)

    assert [problem.id for problem in report.problems] == [made.id]
    assert report.rows["schedules"] == 0
