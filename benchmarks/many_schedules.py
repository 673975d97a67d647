"""Measures a scheduler on a large store: the time from its start or from an edit to the first run, and its memory.

python -m benchmarks.many_schedules [rows] [database ...]

Without arguments, 100,000 and 1,000,000 rows on SQLite, PostgreSQL and MariaDB, as far as they are installed. The rows
are daily schedules, spread over the day; of each, `due_at` is known, as after `rota schedule apply`. `unknown` stands
for rows of an older Rota, of which the scheduler has to look at each once. Then it says how long that takes, too.

- start: from the start of the process until the first task of a schedule that fires each second is enqueued;
- edit: from the commit of an edit that makes a schedule due until its task is enqueued, the longest of ten;
- rss: the memory of the process at the end.
"""

import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import insert, update

from benchmarks.server import Server
from rota.app import Rota
from rota.core.randomness import uuid7
from rota.schedule.definition import ScheduleDefinition
from rota.store import Store, open_store
from rota.store.due_window import first_look
from rota.store.schedule_rows import columns_of
from rota.store.tables import counters, schedules
from tests.servers.databases import MariaServer, PostgresServer

DATABASES = ("sqlite", "postgresql", "mariadb")
PART = 2000


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Run an empty database, and give its URL."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/rota.db"
        return
    server = (PostgresServer() if kind == "postgresql" else MariaServer()).start()
    try:
        yield server.new_database()
    finally:
        server.stop()


def row(number: int, now: datetime, *, known: bool) -> dict[str, Any]:
    """The row of a schedule that fires once a day."""
    spec = f"{number % 60} {number // 60 % 60} {number // 3600 % 24} * * *"
    definition = ScheduleDefinition.read({"name": f"s{number}", "task_type": "t", "specs": [spec]})
    made = str(uuid7())
    due_at = first_look(made, definition, now) if known else datetime(1970, 1, 1, tzinfo=UTC)
    members = {"created_at": now, "created_by": "b", "updated_at": now, "updated_by": "b", "since": now}
    about = {"id": made, "version": 1, "source": "database", "revision": number + 1, "due_at": due_at}
    return {**columns_of(definition), **about, **members}


async def fill(store: Store, count: int, *, known: bool) -> None:
    """Make rows as `apply` would, and a schedule that fires each second."""
    now = datetime.now(UTC)
    for start in range(0, count, PART):
        rows = [row(number, now, known=known) for number in range(start, min(start + PART, count))]

        async def act(connection: Any, rows: Any = rows) -> None:
            await connection.execute(insert(schedules), rows)
            newest = update(counters).where(counters.c.name == "revision").values(value=rows[-1]["revision"])
            await connection.execute(newest)

        await store.database.write(act, limit=None)
    each = ScheduleDefinition.read({"name": "each", "task_type": "t", "specs": ["@every 1s"], "queue": "each"})
    await store.create(each.patched({"overlap": "allow"}), by="b")


async def schedule(url: str, store: str) -> None:
    app = Rota(url)
    async with app, app.scheduler(store=store):
        await asyncio.Event().wait()


def work(url: str, store: str) -> None:
    uvloop.run(schedule(url, store))


async def until(condition: Any, seconds: float = 600) -> float:
    """Wait until a condition holds; return the seconds."""
    began = time.monotonic()
    while not await condition():
        await asyncio.sleep(0.01)
        if time.monotonic() - began > seconds:
            raise TimeoutError("the scheduler did not come to it")
    return time.monotonic() - began


async def edited(store: Store, client: Any, schedule_id: str) -> float:
    """Make a schedule due by an edit; return the seconds until it has fired."""
    before = client.llen("asynq:{edited}:pending")
    patch = {"kind": "once", "specs": None, "process_at": datetime.now(UTC).isoformat(), "queue": "edited"}
    await store.update(schedule_id, patch, by="b")

    async def fired() -> bool:
        return bool(client.llen("asynq:{edited}:pending") > before)

    return await until(fired)


def rss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


async def measure(kind: str, count: int, *, known: bool) -> None:
    with database(kind) as url, Server("redis") as server, server.connect() as client:
        async with open_store(url, migrate=True) as store:
            await fill(store, count, known=known)
            process = multiprocessing.get_context("spawn").Process(
                target=work, args=(f"redis://{server.address}/0", url), daemon=True
            )
            process.start()

            async def fires() -> bool:
                return bool(client.llen("asynq:{each}:pending"))

            start = await until(fires)
            looked = "" if known else await all_looked_at(store)
            ids = [each.id for each in (await store.schedules(text="s9", limit=10)).items]
            edits = [await edited(store, client, each) for each in ids]
            assert process.pid is not None
            size = rss_mb(process.pid)
            process.kill()
            process.join()
    rows = "" if known else ", unknown"
    print(
        f"{kind:<10} {count:>9,} rows{rows}: start {start:.1f} s, edit {max(edits):.2f} s, rss {size:.0f} MB{looked}",
        flush=True,
    )


async def all_looked_at(store: Store) -> str:
    """Wait until the scheduler has looked at each row; say how long that took."""
    border = datetime.now(UTC) - timedelta(days=1)

    async def done() -> bool:
        return len((await store.due_schedules(until=border, limit=20_000)).schedules) < 15_000

    return f", all looked at after {await until(done, 3600):.0f} s"


def main() -> None:
    words = sys.argv[1:]
    counts = [int(word) for word in words if word.isdecimal()] or [100_000, 1_000_000]
    kinds = [word for word in words if word in DATABASES] or DATABASES
    for count in counts:
        for kind in kinds:
            uvloop.run(measure(kind, count, known="unknown" not in words))


if __name__ == "__main__":
    main()
