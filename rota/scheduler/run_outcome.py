"""The outcome of a run, by the tasks that carry it out. Pure: the tasks as they are stored, without the server.

A Rota worker notes each attempt in the task, with its start and end. A Go server notes none. Then a run starts when the
recorder first saw it running, to about a second, and ends at the time in its task, which has whole seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rota.client.task_record import read
from rota.schedule.run import RunAttempt, RunOutcome, ScheduleRun
from rota.scheduler.memory import from_ms
from rota.tasks.job import TaskInfo, TaskState
from rota.wire.attempts import records
from rota.wire.look_task import StoredTask

MOST_LOG_BYTES = 64 * 1024
"""Most bytes of the log lines of a run. The oldest lines beyond it are left out."""
GRACE = timedelta(seconds=30)
"""A task that is not there counts as lost only this long after its run was enqueued."""
_ENDINGS: Mapping[str, RunOutcome] = {"cancelled": "cancelled", "expired": "expired", "quarantined": "quarantined"}
_WORST: Sequence[RunOutcome] = ("lost", "quarantined", "failed", "expired", "cancelled", "succeeded")


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
    run = replace(run, attempts=attempts, started_at=_first_start(attempts) or run.started_at)
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
