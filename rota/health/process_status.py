"""The status of one process, as plain numbers and strings, the rules for live and ready, and sums over processes.

Live: the event loop turns, or has not been blocked for longer than `live_within`. Whether the broker answers does not
matter, because restarting the worker would not bring the broker back and would interrupt running tasks.

Ready: the process takes tasks and records outcomes; a worker whose slots are all in use is ready as well. A fleet is
ready when at least one process of each kind is ready and no active process is unable to work. A process that is
starting or stopping does not make the fleet unready; one that cannot fetch does.

Sums are over all processes of one command, including ended ones, with a bounded number of type names. Names of unknown
types come from producers, and each name may contain an ID. So the first `MOST_TYPES` names are counted separately for
good, and all others share one name. This keeps the labels of a metric few and stable.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """A worker process as it was at `taken_at`. Times are of the machine's monotonic clock; 0 is never, or not now.

    `status` is that of the server record: `new`, `active`, `stopped` (takes no more tasks), `closed`.
    """

    worker: str
    pid: int
    status: str
    taken_at: float
    kind: str = "worker"
    """The kind of the process. A supervisor may also run processes that are not workers."""
    started_at: float = 0.0
    beat_at: float = 0.0
    """When its heartbeat last reached the broker."""
    fetch_lost_at: float = 0.0
    """Since when it has been unable to fetch or to wait for tasks."""
    record_lost_at: float = 0.0
    """Since when recording outcomes has failed."""
    tick_lost_at: float = 0.0
    """When a scheduler that leads last went round; 0 for any other process."""
    turned_at: float = 0.0
    """When its event loop was last seen to turn."""
    blocked_by: str = ""
    """The task or code that blocks the event loop; empty if the loop is not blocked."""
    ready_within_seconds: float = 12.0
    live_within_seconds: float = 600.0
    slots: int = 0
    used: int = 0
    held: int = 0
    wake_up: str = ""
    queues: list[str] = field(default_factory=list[str])
    unknown_types: dict[str, int] = field(default_factory=dict[str, int])
    counts: dict[str, float] = field(default_factory=dict[str, float])
    """Its counts since its start, by the names in `metrics`."""
    gauges: dict[str, float] = field(default_factory=dict[str, float])
    """Its present values, by the names in `metrics`."""
    notes: list[str] = field(default_factory=list[str])
    """Facts about a process that works, for the answers of probes."""


def read_status(fields: Mapping[str, Any]) -> ProcessStatus:
    """Rebuild the status from its JSON fields."""
    return ProcessStatus(**fields)


SHORT_SECONDS = 1.0
"""A shorter blockage of the event loop is not mentioned in the answer of a probe."""
SILENT_SECONDS = 3.0
"""A process reports several times a second. If no report came for this long, some code in it holds the interpreter."""


class ProbeResult(NamedTuple):
    """Whether the processes are live (or ready), and the reasons: one line for each process."""

    holds: bool
    lines: Sequence[str]

    def __str__(self) -> str:
        return "; ".join(self.lines)


def live(processes: Sequence[ProcessStatus], now: float) -> ProbeResult:
    """Judge whether the processes are live. With no process yet, one is starting, which counts as live."""
    judged = [_live(process, now) for process in processes]
    return ProbeResult(all(holds for holds, _ in judged), [line for _, line in judged] or ["starting"])


def ready(processes: Sequence[ProcessStatus], now: float) -> ProbeResult:
    """Judge whether at least one process of each kind is ready, and no active process is unable to work."""
    judged = [_ready(process, now) for process in processes]
    in_vain = any(
        not holds and process.status == "active" for process, (holds, _) in zip(processes, judged, strict=True)
    )
    working = {process.kind for process, (holds, _) in zip(processes, judged, strict=True) if holds}
    works = bool(working) and working == {process.kind for process in processes} and not in_vain
    return ProbeResult(works, [line for _, line in judged] or ["not ready: starting"])


def _live(process: ProcessStatus, now: float) -> tuple[bool, str]:
    silent, blocked = _silent(process, now), _blocked(process, now)
    seconds = max(silent, blocked)
    holds = seconds < process.live_within_seconds
    word = "live" if holds else "not live"
    if silent > SILENT_SECONDS:
        return (
            holds,
            f"{_name(process)} {word}: it has held the interpreter for {silent:.1f} s (a call into C?)",
        )
    if blocked > SHORT_SECONDS:
        by = f" by {process.blocked_by}" if process.blocked_by else ""
        return holds, f"{_name(process)} {word}: its event loop has been blocked for {blocked:.1f} s{by}"
    return holds, f"{_name(process)} {word}"


def _ready(process: ProcessStatus, now: float) -> tuple[bool, str]:
    why = _obstacle(process, now)
    head = _name(process)
    notes = f": {', '.join(process.notes)}" if process.notes else ""
    return (False, f"{head} not ready: {why}") if why else (True, f"{head} ready{notes}")


def _name(process: ProcessStatus) -> str:
    return f"{process.kind} {process.pid}" if process.pid else process.kind


def _obstacle(process: ProcessStatus, now: float) -> str:
    limit = process.ready_within_seconds
    if process.status != "active":
        words = {"new": "starting", "stopped": "asked to take no more tasks", "closed": "stopping"}
        return words.get(process.status, process.status)
    for since, what in (
        (process.beat_at, "the broker has not been reached"),
        (process.fetch_lost_at or now, "no tasks could be taken"),
        (process.record_lost_at or now, "no outcome could be recorded"),
        (process.tick_lost_at or now, "it leads, but no schedule could be fired"),
        (now - max(_blocked(process, now), _silent(process, now)), "the event loop has been blocked"),
    ):
        if now - since > limit:
            return f"{what} for {now - since:.0f} s"
    return ""


def _blocked(process: ProcessStatus, now: float) -> float:
    return now - process.turned_at if process.turned_at else 0.0


def _silent(process: ProcessStatus, now: float) -> float:
    return now - process.taken_at


MOST_TYPES = 50
OTHER_TYPES = "(other types)"


class TypeNames:
    """The type names that have a count of their own."""

    def __init__(self) -> None:
        self._names = {OTHER_TYPES}

    def name(self, type: str) -> str:
        """Return the name under which a type is counted."""
        if type not in self._names:
            if len(self._names) > MOST_TYPES:
                return OTHER_TYPES
            self._names.add(type)
        return type


class Counters:
    """Sums that never decrease when processes end or are replaced."""

    def __init__(self) -> None:
        self._past: Counter[str] = Counter()
        self._types = TypeNames()

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count that does not belong to one process."""
        self._past[name] += number

    def ended(self, process: ProcessStatus) -> None:
        """Add the counts from the last report of a process that has ended."""
        self._past.update(self._counts(process))

    def total(self, processes: Iterable[ProcessStatus]) -> dict[str, float]:
        """Return the sums, including the counts of these running processes."""
        total = Counter(self._past)
        for process in processes:
            total.update(self._counts(process))
        return dict[str, float](total)

    def _counts(self, process: ProcessStatus) -> dict[str, int]:
        unknown: Counter[str] = Counter()
        for name, count in process.unknown_types.items():
            # Each process bounds its own names, but different processes may have received different types.
            unknown[f"unknown:{self._types.name(name)}"] += count
        # Counter also adds floats; only its type annotation is limited to int.
        return {**process.counts, **unknown}  # type: ignore[dict-item]
