"""The checker: compares what producers and handlers wrote down with what Redis holds in the end.

1. Nothing lost: accepted = done + archived + still queued. Done is a task that is gone (or kept as completed) and has a
   run that ended well.
2. Nothing doubled: no two runs of a task overlap while the first one's process lived and was not frozen, and no task
   runs again after it ended well in a process that lived on.
3. Nothing invented: what ran was accepted.
4. Nothing left over: every key has its place, every place its hash, every lease its active task, every lock its holder.
5. The counters add up: processed is one for each task done or archived and one for each retry counted; failed likewise.

Two things excuse: the death of the process (its outcome may not have been recorded), and a server that lost its newest
writes. What they excused is counted, never hidden.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.crash.keyspace import Keyspace, Stored
from tests.crash.ledger import FAR, History, Run

FROZEN_SECONDS = 5.0
"""A process that was frozen for less than the shortest lease has no excuse."""
AMNESIA_SECONDS = 3.0
"""How far back a server that lost its newest writes may have forgotten."""


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
    forgotten: int = 0
    """Accepted tasks that the server lost with its newest writes."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def line(self, title: str, seconds: float) -> str:
        """One line for a report."""
        more = "".join(
            f", {number} {what}"
            for number, what in ((self.again, "run again after a death"), (self.forgotten, "forgotten by the server"))
            if number
        )
        return (
            f"{'ok  ' if not self.faults else 'FAIL'} {title}: accepted {self.accepted} = done {self.done} + archived "
            f"{self.archived} + queued {self.queued}; lost {len(self.lost)}, doubled {len(self.doubled)}; "
            f"{self.runs} runs, {self.died} ended by a death{more} ({seconds:.1f} s)"
        )


def check(history: History, keyspace: Keyspace, *, counters: bool = True) -> Verdict:
    """Compare. `counters` is for queues whose counters nothing but these tasks has moved."""
    verdict = Verdict(accepted=len(history.accepted), runs=len(history.runs))
    by_task: defaultdict[str, list[Run]] = defaultdict(list)
    for run in history.runs:
        by_task[run.task].append(run)
    stored = {task_id: task for (_, task_id), task in keyspace.tasks.items()}
    _count_places(verdict, history, stored, by_task)
    known = history.accepted.keys() | history.unsure.keys()
    for task_id, runs in by_task.items():
        if task_id not in known:
            verdict.faults.append(f"{task_id} ran and was never accepted")
        _check_runs(verdict, task_id, runs, history)
    verdict.faults += [f"{task_id} is stored and was never accepted" for task_id in stored.keys() - known]
    verdict.faults += [f"lost: {task_id}" for task_id in verdict.lost]
    verdict.faults += keyspace.faults
    if counters and not history.amnesia:
        _check_counters(verdict, history, keyspace, stored, by_task)
    return verdict


def _count_places(verdict: Verdict, history: History, stored: dict[str, Stored], by_task: dict[str, list[Run]]) -> None:
    for task_id in history.accepted.keys() | history.unsure.keys():
        state = stored[task_id].state if task_id in stored else "gone"
        well = any(run.end == "ok" for run in by_task.get(task_id, ()))
        if state == "archived":
            verdict.archived += 1
        elif state == "completed" and not well:
            verdict.faults.append(f"{task_id} is completed and no run of it ended well")
        elif well and state in ("completed", "gone"):
            verdict.done += 1
        elif state != "gone":
            verdict.queued += 1
        elif task_id in history.unsure:
            continue
        elif task_id in history.removed:
            verdict.accepted -= 1
        elif _may_be_forgotten(history, by_task.get(task_id, ())):
            verdict.forgotten += 1
        else:
            verdict.lost.append(task_id)
    verdict.accepted += sum(
        task_id in stored or any(run.end == "ok" for run in by_task.get(task_id, ())) for task_id in history.unsure
    )


def _may_be_forgotten(history: History, runs: Iterable[Run]) -> bool:
    # A task that ran on after the server came back was there: losing it then has no excuse.
    return bool(history.amnesia) and all(run.start < max(history.amnesia) for run in runs)


def _check_runs(verdict: Verdict, task_id: str, runs: list[Run], history: History) -> None:
    runs.sort(key=lambda run: run.start)
    verdict.died += sum(run.ended == FAR for run in runs)
    for run in runs:
        if run.ended == FAR and history.deaths.get(run.pid, FAR) == FAR:
            verdict.faults.append(f"{task_id}: a run in process {run.pid} has no end, and the process lives")
    for index, later in enumerate(runs):
        for earlier in runs[:index]:
            _compare(verdict, task_id, earlier, later, history)


def _compare(verdict: Verdict, task_id: str, earlier: Run, later: Run, history: History) -> None:
    died = history.deaths.get(earlier.pid, FAR)
    over = min(earlier.ended, died)
    excused = _was_frozen(history, earlier, later) or _forgot_between(history, earlier, later)
    if later.start < over and not excused:
        verdict.doubled.append(task_id)
        verdict.faults.append(
            f"doubled: {task_id} runs in {later.pid} from {later.start:.3f}, "
            f"in {earlier.pid} from {earlier.start:.3f} to {over:.3f}"
        )
    elif earlier.end == "ok":
        if died < later.start or excused:
            verdict.again += 1
        else:
            verdict.doubled.append(task_id)
            verdict.faults.append(
                f"doubled: {task_id} ended well in {earlier.pid} at {earlier.ended:.3f}, which lived, "
                f"and ran again in {later.pid} from {later.start:.3f}"
            )


def _was_frozen(history: History, earlier: Run, later: Run) -> bool:
    # From the freezing on, its lease ran out; the second run may begin once it had.
    return any(
        pause.pid == earlier.pid
        and pause.until - pause.since >= FROZEN_SECONDS
        and pause.since <= later.start - FROZEN_SECONDS
        and pause.until >= earlier.start
        for pause in history.pauses
    )


def _forgot_between(history: History, earlier: Run, later: Run) -> bool:
    return any(
        earlier.ended + AMNESIA_SECONDS >= moment and earlier.start <= moment <= later.start
        for moment in history.amnesia
    )


def _check_counters(
    verdict: Verdict,
    history: History,
    keyspace: Keyspace,
    stored: dict[str, Stored],
    by_task: dict[str, list[Run]],
) -> None:
    processed = failed = crashed = unclear = 0
    for task_id in history.accepted.keys() | history.unsure.keys():
        runs, task = by_task.get(task_id, []), stored.get(task_id)
        # How often it had failed is what its last run was told, or what its message says now.
        retried = task.retried if task is not None else max((run.retried for run in runs), default=0)
        processed += retried
        failed += retried
        if task is None:
            processed += task_id not in history.removed and any(run.end == "ok" for run in runs)
        elif task.ending == "cancelled":
            unclear += 1  # processed if it ran, not if it waited
        elif task.state in ("completed", "archived"):
            processed += 1
            failed += task.state == "archived"
        crashed += task.crashes if task is not None else 0
    counted = keyspace.counters
    if not processed <= counted["processed"] <= processed + unclear:
        verdict.faults.append(f"processed is {counted['processed']}, the runs and tasks make {processed}")
    if counted["failed"] != failed:
        verdict.faults.append(f"failed is {counted['failed']}, the runs and tasks make {failed}")
    if counted["crashed"] < crashed:
        verdict.faults.append(f"crashed is {counted['crashed']}, the tasks make at least {crashed}")
