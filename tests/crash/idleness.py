"""The rule of the checker that no other one sees: a task that waits while a ready worker has a free slot starts soon.

1. From the ledger come the spans in which a worker was free to take a task: ready and not leaving, with a slot that no
   run held, and beginning nothing. A worker that began a run in between does work, however long the queue is.
2. Cut out of them is what excuses a worker: it was frozen, a handler blocked its event loop, or its broker was away.
   The broker counts as away until the worker can have noticed that it is back.
3. A task that was waiting for a whole `START_SECONDS` of such a span, in a queue and of a type that the worker serves,
   should have been started by it.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from tests.crash.ledger import FAILURES, FAR, RETRY_SECONDS, History, Life, Run

START_SECONDS = 2.0
RETURN_SECONDS = 5.0
"""A worker whose connection was closed tries to connect again every two seconds, and each try may last as long."""
THAW_SECONDS = 10.0
"""After a freeze leases are lost and connections made anew, on a machine that may be busy."""
BLOCKING = ("crash:block", "crash:gil", "crash:spin")
MOST_TOLD = 5
Span = tuple[float, float]


def check_idleness(history: History, by_task: dict[str, list[Run]]) -> list[str]:
    """Return one sentence for each task that waited beside a free slot."""
    runs_of: defaultdict[int, list[Run]] = defaultdict(list)
    for run in history.runs:
        runs_of[run.pid].append(run)
    spans = [(life, list(_idle(life, runs_of[life.pid], history))) for life in history.lives]
    found: list[str] = []
    for waited in _waits(history, by_task):
        found += _missed(waited, spans)
    more = [f"{len(found) - MOST_TOLD} more tasks waited beside free slots"] if len(found) > MOST_TOLD else []
    return found[:MOST_TOLD] + more


def _waits(history: History, by_task: dict[str, list[Run]]) -> Iterator[tuple[Run, float, str]]:
    """Each run that had to wait for nothing but a worker, since when, and in which queue.

    If a process died meanwhile, it may have held the task without having begun it, until its lease was over.
    """
    apart = history.removed | history.joined.keys() | history.elsewhere
    for task, runs in by_task.items():
        if task not in history.accepted or task in apart:
            continue
        since = max(history.sendings[task][1], history.due.get(task, 0.0))
        for run in runs:
            if not any(since <= death <= run.start for death in history.deaths.values()):
                yield run, since, history.accepted[task]
            if run.end not in FAILURES or run.pid in history.go:
                break  # it comes back by other rules than these
            since = run.ended + RETRY_SECONDS


def _missed(waited: tuple[Run, float, str], spans: list[tuple[Life, list[Span]]]) -> Iterator[str]:
    run, since, queue = waited
    if run.start - since <= START_SECONDS:
        return
    for life, idle in spans:
        if queue not in life.queues or run.type not in life.types:
            continue
        beside = max((min(run.start, end) - max(since, begin) for begin, end in idle), default=0.0)
        if beside > START_SECONDS:
            yield (
                f"{run.task} waited from {since:.3f} to {run.start:.3f}, for {beside:.1f} s of it beside a free slot "
                f"of worker {life.pid}, which took nothing"
            )
            return


def _idle(life: Life, runs: list[Run], history: History) -> Iterator[Span]:
    death = history.deaths.get(life.pid, FAR)
    spans = [(life.since, min(life.until, death))]
    for begin, end in _excuses(life, runs, history):
        spans = [part for span in spans for part in _without(span, begin, end)]
    starts = sorted(run.start for run in runs)
    for begin, end in [part for span in spans for part in _free(span, runs, life.slots)]:
        if end - begin > START_SECONDS:
            cuts = [begin, *starts[bisect_right(starts, begin) : bisect_left(starts, end)], end]
            yield from (part for part in pairwise(cuts) if part[1] - part[0] > START_SECONDS)


def _excuses(life: Life, runs: list[Run], history: History) -> Iterator[Span]:
    for pause in history.pauses:
        if pause.pid == life.pid:
            yield pause.since, pause.until + THAW_SECONDS
    for run in runs:
        if run.type in BLOCKING:
            yield run.start, run.ended + THAW_SECONDS
    for away in history.away:
        if away.url in ("", life.url):
            yield away.since, away.until + (life.silence if away.silent else RETURN_SECONDS)


def _free(span: Span, runs: Iterable[Run], slots: int) -> Iterator[Span]:
    """The parts of a span in which fewer runs than slots were going on."""
    changes = sorted([(run.start, 1) for run in runs] + [(run.ended, -1) for run in runs])
    held, since = sum(change for at, change in changes if at <= span[0]), span[0]
    for at, change in changes:
        if not span[0] < at < span[1]:
            continue
        before, held = held, held + change
        if before < slots <= held:
            yield since, at
        elif held < slots <= before:
            since = at
    if held < slots:
        yield since, span[1]


def _without(span: Span, begin: float, end: float) -> list[Span]:
    parts = [(span[0], min(span[1], begin)), (max(span[0], end), span[1])]
    return [(a, b) for a, b in parts if a < b]
