"""Moves the records of runs from Redis into the store, and follows the runs until they are over. The leader does both.

1. Read the outboxes of all shards, write their records, and only then remove them. A record may be written twice.
2. Read the tasks of the runs that are open in the store, in batches, and record how they ended. A run whose task is
   gone without an end is *lost*.
3. Save how far each schedule has come, and once an hour delete old runs and old deleted tasks.
3. Save how far each schedule has come, and once an hour delete old runs and samples.
4. Write the metrics of each minute that is over (`metrics_recorder`).

While the store is away, the records wait in Redis.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from rota import events
from rota.broker.broker import Broker
from rota.client.requests import Requests
from rota.client.task_record import read
from rota.errors import BrokerError, StoreError
from rota.inspect.face import TaskRef
from rota.inspect.task_reads import stored_tasks
from rota.schedule.run import RunAttempt, RunOutcome, ScheduleRun
from rota.scheduler.agenda import Agenda
from rota.scheduler.memory import from_ms
from rota.scheduler.metrics_recorder import MetricsRecorder
from rota.tasks.job import TaskInfo, TaskState
from rota.wire.attempts import records
from rota.wire.look_task import StoredTask
from rota.wire.scheduler_steps import SchedulerKeys, ShardKeys, outbox
from rota.wire.script import Call

if TYPE_CHECKING:
    from rota.store import Store
    from rota.store.store_values import PlannedTimes

EVERY_SECONDS = 1.0
FOLLOW_EVERY_SECONDS = 2.0
SAVE_EVERY_SECONDS = 10.0
TRIM_EVERY_SECONDS = 3600.0
MOST_RECORDS = 500
MOST_OPEN = 500
MOST_LOG_BYTES = 64 * 1024
"""Most bytes of the log lines of a run. The oldest lines beyond it are left out."""
GRACE = timedelta(seconds=30)
"""A task that is not there counts as lost only this long after its run was enqueued."""
_ENDINGS: Mapping[str, RunOutcome] = {"cancelled": "cancelled", "expired": "expired", "quarantined": "quarantined"}
_WORST: Sequence[RunOutcome] = ("lost", "quarantined", "failed", "expired", "cancelled", "succeeded")


class StoreLimits(NamedTuple):
    """How long and how much the store keeps: runs, and deleted tasks (the settings of the same names)."""

    run_age: timedelta = timedelta(days=90)
    run_max: int = 1000
    deleted_age: timedelta = timedelta(days=7)
    deleted_max_bytes: int = 256 * 1024 * 1024


class RunRecorder:
    """The recorder of one term. `store` returns None while the store cannot be opened."""

    def __init__(
        self,
        broker: Broker,
        store: "Callable[[], Store | None]",
        agenda: Agenda,
        now: Callable[[], datetime],
        *,
        keep: StoreLimits,
    ) -> None:
        self._broker = broker
        self._requests = Requests(broker)
        self._keys = SchedulerKeys(broker.keys)
        self._store = store
        self._agenda = agenda
        self._now = now
        self._keep = keep
        self._metrics = MetricsRecorder(broker)
        self._written: dict[ShardKeys, int] = {}
        self._saved: dict[str, PlannedTimes] = {}
        self._next = {"follow": 0.0, "save": 0.0, "trim": time.monotonic() + TRIM_EVERY_SECONDS / 60}
        self._cursor: str | None = None
        self._failing = False

    async def run(self, epoch: int) -> None:
        """Record until cancelled, or until another leader has taken the shards."""
        while True:
            more = False
            try:
                if (store := self._store()) is not None:
                    more = await self._round(store, epoch)
                    self._failing = False
            except (BrokerError, StoreError) as error:
                if not self._failing:
                    events.emit(events.RunsNotRecorded(error=error))
                self._failing = True
            if not more:
                await asyncio.sleep(EVERY_SECONDS)

    async def _round(self, store: "Store", epoch: int) -> bool:
        more = await self._move(store, epoch)
        if self._is_time("follow", FOLLOW_EVERY_SECONDS):
            await self._follow(store)
        if self._is_time("save", SAVE_EVERY_SECONDS):
            await self._save(store)
        if self._is_time("trim", TRIM_EVERY_SECONDS):
            await store.trim_runs(age=self._keep.run_age, most=self._keep.run_max)
            await store.trim_deleted(age=self._keep.deleted_age, max_bytes=self._keep.deleted_max_bytes)
            await store.trim_metrics(self._now())
        await self._metrics.record(store)
        return more

    def _is_time(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._next[what]:
            return False
        self._next[what] = now + every
        return True

    async def _move(self, store: "Store", epoch: int) -> bool:
        """Move records to the store. Returns whether there are more."""
        calls: list[Call[list[bytes] | None]] = [
            outbox(shard, epoch, remove=self._written.pop(shard, 0), most=MOST_RECORDS) for shard in self._keys.shards
        ]
        replies: list[list[bytes] | BrokerError | None] = await self._broker.run_many(calls)
        more = False
        for shard, reply in zip(self._keys.shards, replies, strict=True):
            if isinstance(reply, BrokerError):
                raise reply
            if reply:
                await store.record_runs(filter(None, map(_readable, reply)))
                self._written[shard] = len(reply)
                more = more or len(reply) == MOST_RECORDS
        return more or bool(self._written)

    async def _follow(self, store: "Store") -> None:
        """Look at a part of the open runs, and record those that have come further."""
        page = await store.open_runs(cursor=self._cursor, limit=MOST_OPEN)
        self._cursor = page.next
        tasks = [TaskRef(run.queue, task_id) for run in page.items for task_id in run.task_ids]
        found = await self._requests.carry_out(stored_tasks(self._broker.keys, tasks))
        now = self._now()
        changed = [
            after
            for run in page.items
            if (after := followed(run, [found[TaskRef(run.queue, task_id)] for task_id in run.task_ids], now)) != run
        ]
        await store.record_runs(changed)

    async def _save(self, store: "Store") -> None:
        from rota.store.store_values import PlannedTimes  # a program without a store may lack what the store needs

        changed: list[PlannedTimes] = []
        for entry in self._agenda.entries.values():
            if entry.schedule.source != "database":
                continue
            due = None if entry.due is None else datetime.fromtimestamp(entry.due, self._now().tzinfo)
            found = PlannedTimes(schedule_id=entry.id, last_planned_at=entry.memory.state.last, next_due_at=due)
            if self._saved.get(entry.id) != found:
                changed.append(found)
        await store.save_planned(changed)
        self._saved |= {each.schedule_id: each for each in changed}


def followed(run: ScheduleRun, tasks: Sequence[StoredTask], now: datetime) -> ScheduleRun:
    """Return a run as its tasks are now. It is over when all of them have ended.

    It lasts from the first start to the last end. The rest is that of the task with the worst end, and the log lines
    are those of all tasks.
    """
    ends: list[ScheduleRun] = []
    for stored in tasks:
        ended = _ended(run, stored, now)
        if ended is None:
            return run
        ends.append(ended)
    if not ends:
        return run
    worst = min(ends, key=lambda end: _WORST.index(end.outcome or "succeeded"))
    return replace(
        worst,
        started_at=min((end.started_at for end in ends if end.started_at), default=None),
        ended_at=max((end.ended_at for end in ends if end.ended_at), default=None),
        log=log_lines([stored.fields.get("rota_log", b"") for stored in tasks]),
    )


def _ended(run: ScheduleRun, stored: StoredTask, now: datetime) -> ScheduleRun | None:
    if not stored.state or stored.fields.get("msg") is None:
        if run.enqueued_at is None or now - run.enqueued_at < GRACE:
            return None
        note = "the task is gone without an end: it was deleted, or the server lost it"
        return replace(run, outcome="lost", ended_at=now, note=note)
    attempts = tuple(_attempts(stored))
    run = replace(run, attempts=attempts, started_at=run.started_at or _first_start(attempts))
    info = read(TaskInfo, stored, stored.message())
    if info.state == TaskState.COMPLETED:
        return replace(
            run, outcome="succeeded", ended_at=_end(run, info.completed_at or now), result=info.result or None
        )
    if info.state == TaskState.ARCHIVED:
        outcome = _ENDINGS.get(info.end, "failed")
        return replace(run, outcome=outcome, ended_at=_end(run, info.last_failed_at or now), error=info.last_error)
    return None


def _end(run: ScheduleRun, told: datetime) -> datetime:
    """Return when a task ended. The time in a task has whole seconds, so it may lie before its attempts."""
    known = (run.enqueued_at, run.started_at, *(each.ended_at for each in run.attempts))
    return max((told, *(each for each in known if each is not None)))


def log_lines(logs: Sequence[bytes]) -> tuple[str, ...]:
    """Return the lines that the tasks of a run have logged, up to `MOST_LOG_BYTES`, the newest last.

    If there are several tasks, each line has the number of its shard after its time.
    """
    lines: list[str] = []
    for shard, log in enumerate(logs):
        for line in filter(None, log.decode("utf-8", "replace").split("\n")):
            moment, blank, text = line.partition(" ")
            line = line if len(logs) == 1 else f"{moment} [{shard}]{blank}{text}"
            lines.append(line[: MOST_LOG_BYTES // 4 - 1])  # a character has up to 4 bytes
    if len(logs) > 1:
        lines.sort(key=lambda line: line.partition(" ")[0])
    first, size = len(lines), 0
    while first and (size := size + len(lines[first - 1].encode()) + 1) <= MOST_LOG_BYTES:
        first -= 1
    return tuple(lines[first:])


def _attempts(stored: StoredTask) -> Iterator[RunAttempt]:
    """Yield the attempts that Rota's workers have noted in the task. A Go server notes none."""
    for each in records(stored.fields.get("rota_attempts", b"")):
        started, ended = each.get("started"), each.get("ended")
        if isinstance(started, int):
            yield RunAttempt(
                worker=f"{each.get('host', '')}:{each.get('pid', '')}".strip(":") or str(each.get("worker", "")),
                started_at=from_ms(started),
                ended_at=from_ms(ended) if isinstance(ended, int) else None,
                error=str(each.get("error", "")),
                traceback=str(each.get("traceback", "")),
            )


def _first_start(attempts: Sequence[RunAttempt]) -> datetime | None:
    return min((each.started_at for each in attempts), default=None)


def _readable(record: bytes) -> ScheduleRun | None:
    try:
        return ScheduleRun.from_json(record)
    except ValueError as error:
        events.emit(events.RunRecordUnreadable(error=error))
        return None
