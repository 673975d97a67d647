"""Decides whether a run may start while earlier runs of its schedule are not over.

`may_start` is pure. It gets the open runs: those that are enqueued, and those that wait for their turn (without
`enqueued_at`). A run whose worker died is open until its task has ended or is known to be lost, so the caller passes no
run that is over, and a dead run blocks the next one only until then.

- `skip`: the new run does not start while a run is open.
- `allow`: it starts.
- `queue_one`, `queue_all`: it waits, if fewer than one (or `overlap_limit`) runs wait already.
- `replace`: the open runs are cancelled, and the new run waits until they are over. A run that waits is given up.

When a run ends, `next_to_start` names the waiting run that starts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from rota.core.text import counted
from rota.schedule.definition import DEFAULT_LIMIT, Overlap, ScheduleDefinition
from rota.schedule.run import ScheduleRun, SkipReason

Act: TypeAlias = Literal["start", "wait", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapVerdict:
    """The decision about a new run, and about the open ones. `note` says why it does not start now.

    `cancel` are IDs of enqueued runs to cancel. `give_up` are IDs of waiting runs that end as skipped ("replaced").
    """

    act: Act
    note: str = ""
    cancel: tuple[str, ...] = ()
    give_up: tuple[str, ...] = ()

    @property
    def reason(self) -> SkipReason | None:
        """The reason of a skip."""
        return "overlap" if self.act == "skip" else None


_START = OverlapVerdict(act="start")


def may_start(
    definition: ScheduleDefinition,
    open_runs: Sequence[ScheduleRun],
    *,
    overlap: Overlap | None = None,
    begun: Collection[str] = (),
) -> OverlapVerdict:
    """Decide about one new run. `overlap` overrides the rule of the schedule, for a run by hand or a backfill.

    `begun` are the IDs of open runs that a worker has begun at a time that is not known.
    """
    rule = overlap or definition.overlap
    if not open_runs:
        return _START
    match rule:
        case "allow":
            return _START
        case "skip":
            return OverlapVerdict(act="skip", note=f"overlap is skip, and {_described(open_runs[0], begun)}")
        case "queue_one" | "queue_all":
            return _queued(rule, definition, open_runs, begun)
        case "replace":
            running, waiting = _parted(open_runs)
            note = f"overlap is replace, and {_described((running or waiting)[0], begun)}"
            cancel, give_up = tuple(run.id for run in running), tuple(run.id for run in waiting)
            return OverlapVerdict(act="wait" if cancel else "start", note=note, cancel=cancel, give_up=give_up)
        case _:
            assert_never(rule)


def next_to_start(open_runs: Sequence[ScheduleRun]) -> ScheduleRun | None:
    """Return the waiting run that starts now: the earliest, once no enqueued run is open. None if there is none."""
    running, waiting = _parted(open_runs)
    return None if running else min(waiting, key=lambda run: run.planned_at, default=None)


def _queued(
    rule: Overlap, definition: ScheduleDefinition, open_runs: Sequence[ScheduleRun], begun: Collection[str]
) -> OverlapVerdict:
    running, waiting = _parted(open_runs)
    most = 1 if rule == "queue_one" else definition.most_waiting or DEFAULT_LIMIT
    if len(waiting) < most:
        return OverlapVerdict(act="wait", note=f"overlap is {rule}, and {_described((running or waiting)[0], begun)}")
    wait = "waits" if len(waiting) == 1 else "wait"
    return OverlapVerdict(act="skip", note=f"overlap is {rule}, and {counted(len(waiting), 'run')} {wait} already")


def _parted(open_runs: Sequence[ScheduleRun]) -> tuple[list[ScheduleRun], list[ScheduleRun]]:
    """Part the open runs into those that are enqueued and those that wait for their turn."""
    running = [run for run in open_runs if run.enqueued_at is not None]
    return running, [run for run in open_runs if run.enqueued_at is None]


def _described(run: ScheduleRun, begun: Collection[str]) -> str:
    if run.started_at is not None:
        where = f" on {run.attempts[-1].worker}" if run.attempts else ""
        return f"run {run.id} has been running{where} since {run.started_at:%Y-%m-%d %H:%M:%S} UTC"
    if run.id in begun:
        return f"run {run.id} is running"
    if run.enqueued_at is not None:
        return f"run {run.id} has been waiting for a worker since {run.enqueued_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"run {run.id} is waiting for its turn"
