"""Samples of metrics by minute, hour and day: written by the recorder of the leading scheduler, and read as series.

1. The counter `metrics` has the last minute that was written. It is locked first, and minutes up to it are left out. So
   a minute is written once, also if a recorder died after its commit, or if two work at once for a moment.
2. Minutes are inserted. Each hour and day that ended with them is made anew from its minutes or hours.
3. Old rows are deleted by age and, so that the table stays bounded, by number.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.inspect.metric_series import STEPS, MetricSample, Step, limited, merged
from rota.store.database import Database, Record, records
from rota.store.schedule_rows import readable
from rota.store.tables import NAME, counters, metric_samples

MOST_TYPES = 50
"""Types of a queue in one row; the rest are kept together."""
AGES: Mapping[Step, timedelta] = {"minute": timedelta(days=7), "hour": timedelta(days=90), "day": timedelta(days=731)}
MOST_ROWS: Mapping[Step, int] = {"minute": 500_000, "hour": 200_000, "day": 100_000}
"""Rows that are kept at most. A row has up to `MOST_TYPES` types, and mostly less than 1 KB."""
_FINER: Mapping[Step, Step] = {"hour": "minute", "day": "hour"}
_BATCH = 500


class MetricRecords:
    """Writes and reads samples."""

    database: Database

    async def metrics_until(self) -> datetime | None:
        """Return the last minute that was written."""
        minute = await self.database.read(_last_minute)
        return _moment(minute) if minute else None

    async def record_metrics(self, samples: Sequence[MetricSample], last: datetime) -> int:
        """Write the samples of minutes up to `last`, which is over. Returns how many were new."""

        async def act(connection: AsyncConnection) -> int:
            before = await _locked_minute(connection)
            if _minute(last) <= before:
                return 0
            new = [each for each in samples if before < _minute(each.at) <= _minute(last)]
            await _insert(connection, "minute", new)
            first = _moment(before + 1) if before else min((each.at for each in new), default=last)
            for step in _FINER:
                await _fold(connection, step, first, last)
            mine = counters.c.name == "metrics"
            await connection.execute(update(counters).where(mine).values(value=_minute(last)))
            return len(new)

        return await self.database.write(act)

    async def metric_samples(
        self, step: Step, *, since: datetime, until: datetime, queue: str | None = None
    ) -> list[MetricSample]:
        """Return the samples of whole steps from `since` on and before `until`, the earliest first."""
        column = metric_samples.c
        query = select(metric_samples).where(column.step == step, column.at >= since, column.at < until)
        if queue is not None:
            query = query.where(column.queue == queue)
        rows = await self.database.read(lambda connection: records(connection, query.order_by(column.at, column.queue)))
        return list(readable(rows, _sample, "metric_samples")[0])

    async def trim_metrics(self, now: datetime) -> int:
        """Delete samples beyond their age or number. Returns how many."""
        deleted = 0
        for step in STEPS:
            deleted += await self._delete_before(step, now - AGES[step])
            column = metric_samples.c
            query = select(column.at).where(column.step == step).order_by(column.at.desc()).offset(MOST_ROWS[step])
            border: datetime | None = await self.database.read(
                lambda connection, query=query: connection.scalar(query.limit(1))  # type: ignore[misc]
            )
            if border is not None:
                deleted += await self._delete_before(step, border + timedelta(microseconds=1))
        return deleted

    async def _delete_before(self, step: Step, border: datetime) -> int:
        column = metric_samples.c
        old = and_(column.step == step, column.at < border)

        async def act(connection: AsyncConnection) -> int:
            # All rows of some moments, because rows are not numbered, so that a batch cannot be named otherwise.
            moments = (
                await connection.execute(select(column.at).where(old).order_by(column.at).limit(_BATCH))
            ).scalars()
            found = sorted(set(moments))
            if not found:
                return 0
            gone = await connection.execute(
                delete(metric_samples).where(column.step == step, column.at <= found[-1], column.at < border)
            )
            return int(gone.rowcount)

        deleted = 0
        while number := await self.database.write(act):
            deleted += number
        return deleted


async def _last_minute(connection: AsyncConnection) -> int:
    query = select(counters.c.value).where(counters.c.name == "metrics")
    return int((await connection.execute(query)).scalar() or 0)


async def _locked_minute(connection: AsyncConnection) -> int:
    """Lock the counter until the end of the transaction, and return the last minute that was written."""
    mine = counters.c.name == "metrics"
    locked = await connection.execute(update(counters).where(mine).values(value=counters.c.value))
    if not locked.rowcount:  # the dump of an earlier revision was loaded, which has no such counter
        await connection.execute(insert(counters), [{"name": "metrics", "value": 0, "hash": ""}])
    return await _last_minute(connection)


async def _insert(connection: AsyncConnection, step: Step, samples: Iterable[MetricSample]) -> None:
    rows = [
        {"step": step, "queue": each.queue, "at": each.at, "data": limited(each, MOST_TYPES).to_json()}
        for each in samples
        if len(each.queue) <= NAME
    ]
    for start in range(0, len(rows), _BATCH):
        await connection.execute(insert(metric_samples), rows[start : start + _BATCH])


async def _fold(connection: AsyncConnection, step: Step, first: datetime, last: datetime) -> None:
    """Make the hours or days that ended with the minutes from `first` to `last` from their parts."""
    length, column = STEPS[step], metric_samples.c
    start, end = floor(first, length), floor(last + STEPS["minute"], length)
    while start < end:
        parts = and_(column.step == _FINER[step], column.at >= start, column.at < start + length)
        queues: dict[str, list[MetricSample]] = {}
        for each in readable(await records(connection, select(metric_samples).where(parts)), _sample, "metrics")[0]:
            queues.setdefault(each.queue, []).append(each)
        await connection.execute(delete(metric_samples).where(column.step == step, column.at == start))
        await _insert(connection, step, (merged(some, queue, start) for queue, some in sorted(queues.items())))
        start = await _next_start(connection, step, start + length, end)


async def _next_start(connection: AsyncConnection, step: Step, start: datetime, end: datetime) -> datetime:
    """Return the next step that has a part: after a long break of the recorder most steps have none."""
    column = metric_samples.c
    query = select(column.at).where(column.step == _FINER[step], column.at >= start).order_by(column.at).limit(1)
    first: datetime | None = (await connection.execute(query)).scalar()
    return end if first is None else floor(first, STEPS[step])


def floor(moment: datetime, length: timedelta) -> datetime:
    """Return the beginning of the step that a moment is in. Days begin at midnight UTC."""
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return start + (moment - start) // length * length


def _minute(moment: datetime) -> int:
    return int(moment.timestamp() // 60)


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def _sample(row: Record) -> MetricSample:
    data: Any = row["data"]
    return MetricSample.from_json(row["queue"], row["at"], data)
