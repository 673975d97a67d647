"""Judges a run of schedulers: each planned time was enqueued once, or is recorded as skipped with its reason.

The evidence is independent of Rota: the versions that the driver has written, the tasks that were found in the queues,
and the rows of the runs in the database. The rules:

1. **Nothing missing.** A time that every version in force plans has a task, or lies in a skipped run.
2. **Nothing doubled.** No time has two tasks, in one queue or in two, and no time was both enqueued and skipped.
3. **Nothing invented.** A task belongs to a time that a version in force plans, and has the queue and the payload of
   one version. Around an edit two versions count as in force, for `SETTLE_SECONDS` and while schedulers were frozen.
4. **Nothing unrecorded.** Each task has a run in the store, with its queue, and each enqueued run has its task.

A fail-over may lose the last writes before it. What is missing from these moments is counted as forgotten.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.crash.schedules.versions import Version, Written

SETTLE_SECONDS = 3.0
"""An edit is in force within a second. A busy machine may take longer."""
FORGOTTEN_SECONDS = 2.0
"""A fail-over may lose what was written this long before it."""
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A task that was found in a queue. Times are in seconds since 1970, the planned one in milliseconds."""

    id: str
    schedule: str
    planned_ms: int
    queue: str
    version: int
    at: float


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as a row of the store. `last_ms` is the end of a range of skips."""

    id: str
    schedule: str
    planned_ms: int
    last_ms: int
    queue: str
    task_ids: tuple[str, ...]
    skip_reason: str


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the run, on the wall clock."""

    since: float
    until: float


@dataclass(slots=True)
class Evidence:
    """All that is known at the end."""

    schedules: list[Written]
    tasks: list[Enqueued]
    runs: list[StoredRun]
    until: float
    """Planned times up to here are judged."""
    freezes: list[Span] = field(default_factory=list[Span])
    failovers: list[Span] = field(default_factory=list[Span])


@dataclass(slots=True)
class Verdict:
    """The counts of planned times, and each fault in words."""

    planned: int = 0
    enqueued: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    forgotten: int = 0
    missing: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list[str])
    late_ms: list[float] = field(default_factory=list[float])

    def line(self) -> str:
        """All of it in one line."""
        skips = ", ".join(f"{count} {reason}" for reason, count in sorted(self.skipped.items())) or "none"
        late = sorted(self.late_ms) or [0.0]
        within = 100 * sum(each <= 50 for each in late) / len(late)
        return (
            f"planned {self.planned} = enqueued {self.enqueued} + skipped {self.skipped.total()} ({skips}) + forgotten "
            f"{self.forgotten} + missing {self.missing}; doubled {self.doubled}; {len(self.faults)} faults; late p50 "
            f"{late[len(late) // 2]:.1f} ms, p99 {late[int(len(late) * 0.99)]:.1f} ms, most {late[-1]:.0f} ms, "
            f"{within:.2f} % within 50 ms"
        )

    def assert_well(self) -> None:
        """Fail if there was a fault."""
        shown = "\n".join(self.faults[:MOST_SHOWN])
        assert not self.faults, f"{self.line()}\n{shown}"


def check(evidence: Evidence) -> Verdict:
    """Judge."""
    verdict = Verdict()
    tasks: defaultdict[str, list[Enqueued]] = defaultdict(list)
    runs: defaultdict[str, list[StoredRun]] = defaultdict(list)
    for task in evidence.tasks:
        tasks[task.schedule].append(task)
    for run in evidence.runs:
        runs[run.schedule].append(run)
    known = {each.id for each in evidence.schedules}
    verdict.faults += [
        f"invented: {task.id} is of no schedule" for task in evidence.tasks if task.schedule not in known
    ]
    for schedule in evidence.schedules:
        _Judge(evidence, verdict, schedule, tasks[schedule.id], runs[schedule.id]).judge()
    return verdict


class _Judge:
    """Judges one schedule."""

    def __init__(
        self,
        evidence: Evidence,
        verdict: Verdict,
        schedule: Written,
        tasks: Sequence[Enqueued],
        runs: Sequence[StoredRun],
    ) -> None:
        self._evidence = evidence
        self._verdict = verdict
        self._schedule = schedule
        self._spans = [self._in_force(number) for number in range(len(schedule.versions))]
        self._tasks: defaultdict[int, list[Enqueued]] = defaultdict(list)
        for task in tasks:
            self._tasks[task.planned_ms].append(task)
        self._runs = {run.id: run for run in runs if not run.skip_reason}
        self._skips = [run for run in runs if run.skip_reason]

    def judge(self) -> None:
        planned = self._interval_times() if self._schedule.is_interval else self._cron_times()
        for planned_ms, is_sure in planned.items():
            self._time(planned_ms, is_sure)
        for planned_ms, tasks in self._tasks.items():
            if planned_ms not in planned and planned_ms / 1000 <= self._evidence.until:
                self._fault(f"invented: {tasks[0].id} in {tasks[0].queue}, which no version plans")
            for task in tasks:
                self._task(task)
        found = {task.id for tasks in self._tasks.values() for task in tasks}
        for run in self._runs.values():
            if not found.issuperset(run.task_ids) or not run.task_ids:
                self._gone(run.planned_ms, f"missing: the run {run.id} in {run.queue} is in the store without its task")

    def _in_force(self, number: int) -> Span:
        """When a version may have ruled."""
        versions = self._schedule.versions
        if number + 1 == len(versions):
            return Span(versions[number].sent, float("inf"))
        until = versions[number + 1].committed + SETTLE_SECONDS
        for freeze in sorted(self._evidence.freezes, key=lambda span: span.since):
            if freeze.since <= until and freeze.until >= versions[number + 1].sent:
                until = max(until, freeze.until + SETTLE_SECONDS)
        return Span(versions[number].sent, until)

    def _ruling(self, at: float) -> list[Version]:
        """The versions that may rule at a moment."""
        return [
            version
            for version, span in zip(self._schedule.versions, self._spans, strict=True)
            if span.since <= at <= span.until
        ]

    def _cron_times(self) -> dict[int, bool]:
        """The times that a version plans, and whether all versions that may rule plan them."""
        found: dict[int, bool] = {}
        created = self._schedule.versions[0]
        for second in range(int(created.sent), int(self._evidence.until) + 1):
            votes = [version.plans(second) for version in self._ruling(second)]
            if any(votes):
                found[second * 1000] = all(votes) and second > created.committed
        return found

    def _interval_times(self) -> dict[int, bool]:
        """The times from the first one found on."""
        created, until, step = self._schedule.versions[0].committed, self._evidence.until, self._schedule.interval_ms
        first = min((*self._tasks, *(skip.planned_ms for skip in self._skips)), default=0)
        if not first or first / 1000 > created + step / 1000:
            self._fault(f"missing: the first time is {first}, and the schedule is from {created:.3f}")
        return dict.fromkeys(range(first, int(until * 1000) + 1, step), True) if first else {}

    def _time(self, planned_ms: int, is_sure: bool) -> None:
        tasks = self._tasks.get(planned_ms, ())
        skips = [run for run in self._skips if run.planned_ms <= planned_ms <= run.last_ms]
        if not tasks and not skips and not is_sure:
            return
        self._verdict.planned += 1
        if len(tasks) > 1:
            self._verdict.doubled += 1
            where = ", ".join(f"{task.queue} at {task.at:.3f}" for task in tasks)
            self._fault(f"doubled: {planned_ms} was enqueued {len(tasks)} times: {where}")
        if tasks and skips:
            self._fault(f"doubled: {planned_ms} is enqueued, and skipped as {skips[0].skip_reason} by {skips[0].id}")
        if tasks:
            self._verdict.enqueued += 1
            self._verdict.late_ms.append(tasks[0].at * 1000 - planned_ms)
        elif skips:
            self._verdict.skipped[skips[0].skip_reason] += 1
        else:
            self._gone(planned_ms, f"missing: {planned_ms} is neither enqueued nor skipped")

    def _gone(self, planned_ms: int, what: str) -> None:
        at = planned_ms / 1000
        if any(
            each.since - FORGOTTEN_SECONDS <= at <= each.until + FORGOTTEN_SECONDS for each in self._evidence.failovers
        ):
            self._verdict.forgotten += 1
            return
        self._verdict.missing += 1
        self._fault(what)

    def _task(self, task: Enqueued) -> None:
        """A task has the queue and the payload of one version that ruled between its planned time and its enqueue."""
        planned = task.planned_ms / 1000
        span = self._spans[task.version] if task.version < len(self._spans) else None
        if span is None or span.since > max(task.at, planned) or span.until < planned:
            self._fault(f"invented: {task.id} has version {task.version}, which did not rule at {planned:.3f}")
        elif task.queue != self._schedule.versions[task.version].queue:
            self._fault(f"invented: {task.id} of version {task.version} is in {task.queue}")
        run = self._runs.get(task.id)
        if run is None or run.queue != task.queue or task.id not in run.task_ids:
            self._unrecorded(task, run)

    def _unrecorded(self, task: Enqueued, run: StoredRun | None) -> None:
        if not self._evidence.failovers:
            self._fault(f"unrecorded: {task.id} in {task.queue}; the store has {run}")

    def _fault(self, what: str) -> None:
        versions = "; ".join(
            f"{each.number} {each.sent:.3f}-{each.committed:.3f} {_brief(each.definition)}"
            for each in self._schedule.versions[-6:]
        )
        self._verdict.faults.append(f"{what} ({self._schedule.id}: {versions})")


def _brief(definition: Mapping[str, object] | None) -> str:
    if definition is None:
        return "deleted"
    names: Iterable[str] = ("specs", "queue", "enabled", "overlap")
    return " ".join(f"{name}={definition[name]}" for name in names if name in definition)
