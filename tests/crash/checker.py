"""The checker: compares what producers and handlers wrote down with what Redis holds in the end.

1. Nothing lost: accepted = done + archived + still queued. Done is a task that is gone (or kept as completed) and has a
   run that ended well.
2. Nothing lost in disguise: what is archived failed as often as it was allowed to, was cancelled by the scenario, took
   its workers down, or came to its deadline, after which it does not run; what is kept has its result.
3. Nothing doubled: no two runs of a task, or of tasks under one unique lock, overlap while the first one's process
   lived and was not frozen, and no task runs again after it ended well in a process that lived on.
4. Nothing invented: what ran was accepted.
5. No retry spent: a run is told of as many retries as runs before it failed. A Go server spends one on each death.
6. Nothing left over: every key has its place, every place its hash, every lease its active task, every lock its holder.
7. The counters add up: processed is one for each task done or archived and one for each retry counted; failed likewise.
8. Nobody is deaf: a task that waits while a ready worker has a free slot starts within 2 s (`idleness`).

Four things excuse: the death of the process (its outcome may not have been recorded), a server that lost its newest
writes, an enqueue that was sent again because its answer was lost (a task that was over and gone by then runs again),
and Asynq's own rules for the runs of its servers. What they excused is counted, never hidden.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from tests.crash.counters import check_counters
from tests.crash.idleness import check_idleness
from tests.crash.keyspace import Keyspace, Stored
from tests.crash.ledger import FAILURES, FAR, POLICY_RETRIES, History, Run

FROZEN_SECONDS = 2.5
"""The shortest lease with its slack, three seconds taken off by which a machine may have held the last heartbeat up: a
process that was frozen for less has no excuse."""
HELD_UP_SECONDS = 3.0
"""Where a machine holds a worker up, what it has taken begins so much later."""
WHOLE_SECOND = 1.0
"""The wire knows a deadline to the second."""
SETTLED_SECONDS = 20.0
"""So long after its end an outcome is recorded, whatever outage there was, and what a freeze has upset is in order."""
NOT_SAID = 25
"""What the message says then, as Go's client writes it."""


@dataclass
class Verdict:
    """What was found. `faults` is empty if all is well."""

    accepted: int = 0
    done: int = 0
    archived: int = 0
    queued: int = 0
    runs: int = 0
    died: int = 0
    """Runs that ended with their process."""
    again: int = 0
    """Runs of tasks that had ended well before, but whose process died before that was recorded."""
    asynq: int = 0
    """Runs beside or after one of a Go server, as Asynq's own rules allow them."""
    resent: int = 0
    """Runs of tasks that had ended well and were gone when their enqueue was sent again."""
    forgotten: int = 0
    """Accepted tasks that the server lost with its newest writes."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def line(self, title: str, seconds: float) -> str:
        """One line for a report."""
        excused = {
            "run again after a death": self.again,
            "run again after a lost answer to the enqueue": self.resent,
            "run again by the rules of Asynq": self.asynq,
            "forgotten by the server": self.forgotten,
        }
        more = "".join(f", {number} {what}" for what, number in excused.items() if number)
        return (
            f"{'ok  ' if not self.faults else 'FAIL'} {title}: accepted {self.accepted} = done {self.done} + archived "
            f"{self.archived} + queued {self.queued}; lost {len(self.lost)}, doubled {len(self.doubled)}; "
            f"{self.runs} runs, {self.died} ended by a death{more} ({seconds:.1f} s)"
        )


def check(
    history: History,
    keyspace: Keyspace,
    *,
    counters: bool = True,
) -> Verdict:
    """Compare. `counters` is for queues whose counters nothing but these tasks has moved."""
    verdict = Verdict(accepted=len(history.accepted), runs=len(history.runs))
    by_task: defaultdict[str, list[Run]] = defaultdict(list)
    for run in sorted(history.runs, key=lambda run: run.start):
        by_task[run.task].append(run)
    stored = {task_id: task for (_, task_id), task in keyspace.tasks.items()}
    excuses = Excuses(history)
    _count_places(verdict, excuses, stored, by_task)
    known = history.accepted.keys() | history.unsure.keys()
    for task_id, runs in by_task.items():
        if task_id not in known:
            verdict.faults.append(f"{task_id} ran and was never accepted")
        _check_runs(verdict, runs, excuses)
        if not history.go:
            verdict.faults += _spent(task_id, runs, stored.get(task_id), excuses)
    _check_locks(verdict, by_task, excuses)
    for task_id, task in stored.items():
        verdict.faults += _disguised(task_id, task, by_task.get(task_id, []), excuses)
    strays = stored.keys() - known - set(history.joined.values())
    verdict.faults += [f"{task_id} is stored and was never accepted" for task_id in strays]
    verdict.faults += [f"lost: {task_id}" for task_id in verdict.lost]
    verdict.faults += keyspace.faults
    verdict.faults += check_idleness(history, by_task)
    if counters and not history.amnesia:
        verdict.faults += check_counters(history, keyspace, stored, by_task)
    return verdict


@dataclass(frozen=True)
class Excuses:
    """What may have kept an outcome from being recorded."""

    history: History

    def death(self, run: Run) -> float:
        """When its process died, if it did."""
        return self.history.deaths.get(run.pid, FAR)

    def go(self, run: Run) -> bool:
        """Whether a Go server ran it. It forgets an outcome that it could not record at once, costs a retry where a
        process died, and lets a second run begin at a time-out or a stop while the first goes on.
        """
        return run.pid in self.history.go

    def unrecorded(self, run: Run) -> bool:
        """Whether a run may have ended without a trace: its process died in it or soon after, or was frozen."""
        return self.go(run) or self.death(run) <= run.ended + SETTLED_SECONDS or any(self._pauses(run))

    def again(self, earlier: Run, later: Run) -> bool:
        """Whether the second run may have begun, though the first had ended well."""
        died = self.death(earlier)
        if died < later.start and died <= earlier.ended + SETTLED_SECONDS:
            return True
        # A run that ended after its lease was lost in a freeze records nothing. The task may wait for any time then.
        late = any(
            since + FROZEN_SECONDS <= earlier.ended <= until + HELD_UP_SECONDS for since, until in self._pauses(earlier)
        )
        return late or self.beside(earlier, later)

    def sent_again(self, earlier: Run) -> bool:
        """Whether a task may have been enqueued again after this run: its producer still waited for an answer then."""
        if earlier.task not in self.history.repeated:
            return False
        # What was sent first may also arrive last: it waited in a server that was frozen, or on the way.
        return earlier.ended <= self.history.sendings[earlier.task][1] + SETTLED_SECONDS

    def beside(self, earlier: Run, later: Run) -> bool:
        """Whether the second run may have begun, though the first was still going on in a process that lived."""
        # From the freezing on, its lease ran out; the second run may begin once it had.
        return self._forgot_between(earlier, later) or any(
            since + FROZEN_SECONDS <= later.start <= until + SETTLED_SECONDS for since, until in self._pauses(earlier)
        )

    def forgets(self, task_id: str, runs: Iterable[Run]) -> bool:
        """Whether the server may have forgotten a task: it came shortly before, and was never seen afterwards."""
        sent, arrived = self.history.sendings[task_id]
        return any(
            sent <= amnesia.until and amnesia.since <= arrived and all(run.start < amnesia.until for run in runs)
            for amnesia in self.history.amnesia
        )

    def _pauses(self, run: Run) -> list[tuple[float, float]]:
        return [
            (pause.since, pause.until)
            for pause in self.history.pauses
            if pause.pid == run.pid
            and pause.until - pause.since >= FROZEN_SECONDS
            and pause.since <= run.ended + SETTLED_SECONDS
            and pause.until >= run.start
        ]

    def _forgot_between(self, earlier: Run, later: Run) -> bool:
        # What was lost is that the first one was taken, or that it was recorded.
        return any(
            later.start >= amnesia.at
            and any(amnesia.since <= at <= amnesia.until + HELD_UP_SECONDS for at in (earlier.start, earlier.ended))
            for amnesia in self.history.amnesia
        )


def _count_places(verdict: Verdict, excuses: Excuses, stored: dict[str, Stored], by_task: dict[str, list[Run]]) -> None:
    history = excuses.history
    for task_id in history.accepted.keys() | history.unsure.keys():
        held_as = task_id if task_id in stored else history.joined.get(task_id, "")
        state = stored[held_as].state if held_as in stored else "gone"
        well = any(run.end == "ok" for run in by_task.get(task_id, ()))
        if state == "archived":
            verdict.archived += 1
        elif state == "completed" and not well:
            verdict.faults.append(f"{task_id} is completed and no run of it ended well")
        elif well and state in ("completed", "gone"):
            verdict.done += 1
        elif state != "gone":
            verdict.queued += 1
        elif task_id in history.removed or task_id in history.unsure:
            verdict.accepted -= task_id in history.accepted
        elif excuses.forgets(task_id, by_task.get(task_id, ())):
            verdict.forgotten += 1
        else:
            verdict.lost.append(task_id)
    verdict.accepted += sum(
        task_id in stored or any(run.end == "ok" for run in by_task.get(task_id, ())) for task_id in history.unsure
    )


def _disguised(task_id: str, task: Stored, runs: list[Run], excuses: Excuses) -> list[str]:
    """Losses that look like something else."""
    if task.state == "completed" and task.type == "crash:result" and task.result != b"a result":
        return [f"lost: the result of {task_id} is {task.result!r}"]
    if task.state != "archived":
        return []
    mixed = bool(excuses.history.go)  # then what was cut off may have cost a retry
    failures = sum(run.end in FAILURES or (mixed and excuses.unrecorded(run)) for run in runs)
    if mixed and runs and runs[-1].end in FAILURES:
        # A Go server that dies with a task before the first line of its handler has spent a retry too.
        failures = max(failures, runs[-1].retried + 1)
    allowed = POLICY_RETRIES if task.max_retry == NOT_SAID else task.max_retry
    if task.ending == "cancelled":
        return [] if task_id in excuses.history.removed else [f"lost: nobody cancelled {task_id}, and it is cancelled"]
    if task.ending == "quarantined":
        cut = sum(excuses.unrecorded(run) for run in runs)
        # Some of the deaths may have come before the first line of the handler.
        wrong = cut * 2 < task.crashes or not task.crashes
        return [f"lost: {task_id} is in quarantine, and {cut} of its runs were cut off"] if wrong else []
    if task.ending == "expired" and _has_expired(task_id, excuses.history):
        return []
    if task.ending or failures < allowed + 1:
        how = task.ending or "given up"
        return [f"lost: {task_id} is archived as {how}: {failures} runs failed, and {allowed} retries were allowed"]
    return []


def _has_expired(task_id: str, history: History) -> bool:
    """Whether its hook was told, and not before its deadline."""
    return history.exhausted.get(task_id, 0) >= history.deadlines.get(task_id, FAR) - WHOLE_SECOND


def _check_runs(verdict: Verdict, runs: list[Run], excuses: Excuses) -> None:
    verdict.died += sum(run.ended == FAR for run in runs)
    for run in runs:
        if run.ended == FAR and excuses.death(run) == FAR:
            verdict.faults.append(f"{run.task}: a run in process {run.pid} has no end, and the process lives")
        if (late := run.start - excuses.history.deadlines.get(run.task, FAR)) > WHOLE_SECOND:
            verdict.faults.append(f"{run.task} began in process {run.pid} {late:.1f} s after its deadline")
    for index, later in enumerate(runs):
        for earlier in runs[:index]:
            if _overlap(verdict, earlier, later, excuses) or earlier.end != "ok":
                continue
            if earlier is not runs[index - 1]:
                continue  # the run between them has taken its place
            if excuses.again(earlier, later):
                verdict.again += 1
            elif excuses.sent_again(earlier):
                verdict.resent += 1
            elif excuses.go(earlier):
                verdict.asynq += 1
            else:
                verdict.doubled.append(later.task)
                verdict.faults.append(
                    f"doubled: {later.task} ended well in {earlier.pid} at {earlier.ended:.3f}, which lived, "
                    f"and ran again in {later.pid} from {later.start:.3f}"
                )


def _overlap(verdict: Verdict, earlier: Run, later: Run, excuses: Excuses) -> bool:
    over = min(earlier.ended, excuses.death(earlier))
    doubled = later.start < over and not excuses.beside(earlier, later)
    if doubled and excuses.go(earlier):
        verdict.asynq += 1
    elif doubled:
        beside = f" beside {earlier.task} under the same lock" if earlier.task != later.task else ""
        verdict.doubled.append(later.task)
        verdict.faults.append(
            f"doubled: {later.task} runs in {later.pid} from {later.start:.3f}, "
            f"in {earlier.pid} from {earlier.start:.3f} to {over:.3f}{beside}"
        )
    return doubled


def _check_locks(verdict: Verdict, by_task: dict[str, list[Run]], excuses: Excuses) -> None:
    """Compare runs of different tasks that may not run at once."""
    by_key: defaultdict[str, list[Run]] = defaultdict(list)
    for task_id, key in excuses.history.locks.items():
        by_key[key] += by_task.get(task_id, ())
    for runs in by_key.values():
        runs.sort(key=lambda run: run.start)
        for earlier, later in pairwise(runs):
            if earlier.task != later.task:
                _overlap(verdict, earlier, later, excuses)


def _spent(task_id: str, runs: list[Run], task: Stored | None, excuses: Excuses) -> list[str]:
    """Retries that no failure of a run has cost, and failures that cost none."""
    ran_anew = task_id in excuses.history.repeated and any(run.end == "ok" for run in runs[:-1])
    if excuses.history.amnesia or ran_anew:
        return []
    found: list[str] = []
    told = [(run.retried, f"run {number} of {task_id}", runs[: number - 1]) for number, run in enumerate(runs, 1)]
    if task is not None and task.state != "archived":
        told.append((task.retried, f"{task_id} ({task.state})", runs))
    for retried, who, before in told:
        failures = [run for run in before if run.end in FAILURES]
        sure = sum(not excuses.unrecorded(run) for run in failures)
        if not sure <= retried <= len(failures):
            found.append(f"{who} was told of {retried} retries, and {len(failures)} runs had failed ({sure} for sure)")
    return found
