"""A million runs do not make lists slow: each list is read from an index, without sorting. On each database."""

import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from rota.store import Store
from tests.integration.store.test_runs import NOON, fired

MILLION = 1_000_000
NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers LIMIT {count})",
    "postgresql": "WITH numbers AS (SELECT generate_series(0, {count} - 1) AS n)",
    "mysql": "WITH numbers AS (SELECT seq AS n FROM seq_0_to_{last})",
}
PLANNED = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', '2026-03-01', '+' || n || ' seconds')",
    "postgresql": "timestamptz '2026-03-01 00:00Z' + n * interval '1 second'",
    "mysql": "TIMESTAMPADD(SECOND, n, '2026-03-01 00:00:00')",
}
EMPTY = {"sqlite": "'[]'", "postgresql": "json '[]'", "mysql": "'[]'"}
BAD_PLANS = {
    "sqlite": ("SCAN rota_runs\n", "TEMP B-TREE"),
    "postgresql": ("Seq Scan on rota_runs",),  # it likes to sort the few runs of one schedule
    "mysql": ("filesort", "\tALL\t"),
}


async def fill(store: Store, count: int) -> None:
    """Make runs of 100 schedules, one a second. Of each thousand one is open and one has failed."""
    kind = store.database.dialect
    quoted = '"by"' if kind != "mysql" else "`by`"
    names = f"id, schedule_id, schedule_version, planned_at, cause, {quoted}, queue, task_type, task_ids, outcome,"
    values = f"concat('r-', n), concat('s', n % 100), 1, {PLANNED[kind]}, 'tick', '', 'default', 't', {EMPTY[kind]},"
    outcome = "CASE n % 1000 WHEN 0 THEN NULL WHEN 1 THEN 'failed' ELSE 'succeeded' END, n % 1000 = 0, 0, '', ''"
    if kind == "sqlite":
        values = values.replace("concat('r-', n)", "'r-' || n").replace("concat('s', n % 100)", "'s' || (n % 100)")
    source = NUMBERS[kind].format(count=count, last=count - 1)
    table = f"rota_runs ({names} is_open, skip_count, error, note)"
    select = f"SELECT {values} {outcome} FROM numbers"
    statement = f"INSERT INTO {table} {source} {select}"

    async def act(connection: Any) -> None:
        await connection.execute(text(statement.replace(":00", "\\:00")))

    await store.database.write(act, limit=None)

    async def analyze(connection: Any) -> None:
        await connection.execute(text("ANALYZE TABLE rota_runs" if kind == "mysql" else "ANALYZE rota_runs"))

    if kind != "sqlite":  # a user of SQLite runs no ANALYZE
        await store.database.write(analyze, limit=None)


async def plans_of(store: Store, reads: Any, table: str = "rota_runs") -> list[str]:
    """Return how the database carries out each statement of some reads about a table."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    engine = store.database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await reads()
    event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if store.database.dialect == "sqlite" else "EXPLAIN "

    async def act(connection: Any) -> list[str]:
        found: list[str] = []
        for statement, parameters in seen:
            if table in statement:
                rows = await connection.exec_driver_sql(explain + statement, parameters)
                found.append(statement + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows))
        return found

    return await store.database.read(act, limit=None)


async def read_lists(store: Store) -> None:
    page = await store.runs(limit=50)
    await store.runs(cursor=page.next, limit=50)
    page = await store.runs("s7", limit=50)
    await store.runs("s7", cursor=page.next, limit=50)
    page = await store.runs(outcome="failed", limit=50)
    await store.runs(outcome="failed", cursor=page.next, limit=50)
    await store.runs("s7", since=NOON, until=NOON + timedelta(hours=1), limit=50)
    page = await store.open_runs(limit=50)
    await store.open_runs(cursor=page.next, limit=50)
    await store.statistics("s7", last=100)


async def check_plans(store: Store) -> None:
    plans = await plans_of(store, lambda: read_lists(store))
    assert len(plans) == 10
    for plan in plans:
        assert not [bad for bad in BAD_PLANS[store.database.dialect] if bad in plan], plan


async def test_lists_are_read_from_an_index(store: Store) -> None:
    await fill(store, 20_000)

    await check_plans(store)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_million_runs_do_not_make_lists_slow(store: Store) -> None:
    await fill(store, MILLION)
    await check_plans(store)

    times: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        await read_lists(store)
        await store.record_runs([fired(60 * 24 * 30)])
        times.append(time.perf_counter() - start)
    # Ten lists and a record. A scan of the table would take a second for each list.
    assert min(times) < 1.0
