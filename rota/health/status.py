"""The status of one worker process, plain numbers and words, and what it amounts to: live or not, ready or not.

Live: the event loop turns, or has not been blocked for too long. Whether the broker answers does not matter: a
restart would not bring it back, and would cost what runs.
Ready: the process takes tasks and records outcomes; a busy worker is ready as well. Several processes are ready when
one is, and none of them is at work without being able to: a process that starts or stops does no harm, one that
cannot fetch does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """How a worker process was at `taken_at`. Moments are of the machine's monotonic clock; 0 means never or not now.

    `status` is that of the server record: `new`, `active`, `stopped` (takes no more tasks), `closed`.
    """

    worker: str
    pid: int
    status: str
    taken_at: float
    started_at: float = 0.0
    beat_at: float = 0.0
    """When its heartbeat last reached the broker."""
    fetch_lost_at: float = 0.0
    """Since when it has been unable to fetch or to wait for tasks."""
    record_lost_at: float = 0.0
    """Since when no outcome could be recorded although there were some."""
    turned_at: float = 0.0
    """When its event loop was last seen to turn."""
    blocked_by: str = ""
    """What blocks the event loop, if something does."""
    ready_within_seconds: float = 12.0
    live_within_seconds: float = 600.0
    slots: int = 0
    used: int = 0
    held: int = 0
    wake_up: str = ""
    queues: list[str] = field(default_factory=list[str])
    unknown_types: dict[str, int] = field(default_factory=dict[str, int])
    counts: dict[str, float] = field(default_factory=dict[str, float])
    """What it counted since its start, by the names in `metrics`."""


def read_status(fields: Mapping[str, Any]) -> ProcessStatus:
    """Build the value from what JSON made of it."""
    return ProcessStatus(**fields)


SHORT_SECONDS = 1.0
"""A loop that has not turned for less is not worth a word."""
SILENT_SECONDS = 3.0
"""Reports come several times a second; after so long without one something in the process holds the interpreter."""


class ProbeResult(NamedTuple):
    """Whether it is so, and why: one line for each process."""

    holds: bool
    lines: Sequence[str]

    def __str__(self) -> str:
        return "; ".join(self.lines)


def live(processes: Sequence[ProcessStatus], now: float) -> ProbeResult:
    """Judge whether the processes live. Without any there is one that starts: that is life too."""
    judged = [_live(vitals, now) for vitals in processes]
    return ProbeResult(all(holds for holds, _ in judged), [line for _, line in judged] or ["starting"])


def ready(processes: Sequence[ProcessStatus], now: float) -> ProbeResult:
    """Judge whether a process takes tasks and records outcomes, and no other one tries to in vain."""
    judged = [_ready(vitals, now) for vitals in processes]
    in_vain = any(not holds and vitals.status == "active" for vitals, (holds, _) in zip(processes, judged, strict=True))
    works = any(holds for holds, _ in judged) and not in_vain
    return ProbeResult(works, [line for _, line in judged] or ["not ready: starting"])


def _live(vitals: ProcessStatus, now: float) -> tuple[bool, str]:
    silent, blocked = _silent(vitals, now), _blocked(vitals, now)
    seconds = max(silent, blocked)
    holds = seconds < vitals.live_within_seconds
    word = "live" if holds else "not live"
    if silent > SILENT_SECONDS:
        return holds, f"worker {vitals.pid} {word}: it has held the interpreter for {silent:.1f} s (a call into C?)"
    if blocked > SHORT_SECONDS:
        by = f" by {vitals.blocked_by}" if vitals.blocked_by else ""
        return holds, f"worker {vitals.pid} {word}: its event loop has been blocked for {blocked:.1f} s{by}"
    return holds, f"worker {vitals.pid} {word}"


def _ready(vitals: ProcessStatus, now: float) -> tuple[bool, str]:
    why = _obstacle(vitals, now)
    head = f"worker {vitals.pid}"
    return (False, f"{head} not ready: {why}") if why else (True, f"{head} ready")


def _obstacle(vitals: ProcessStatus, now: float) -> str:
    limit = vitals.ready_within_seconds
    if vitals.status != "active":
        words = {"new": "starting", "stopped": "asked to take no more tasks", "closed": "stopping"}
        return words.get(vitals.status, vitals.status)
    for since, what in (
        (vitals.beat_at, "the broker has not been reached"),
        (vitals.fetch_lost_at or now, "no tasks could be taken"),
        (vitals.record_lost_at or now, "no outcome could be recorded"),
        (now - max(_blocked(vitals, now), _silent(vitals, now)), "the event loop has been blocked"),
    ):
        if now - since > limit:
            return f"{what} for {now - since:.0f} s"
    return ""


def _blocked(vitals: ProcessStatus, now: float) -> float:
    return now - vitals.turned_at if vitals.turned_at else 0.0


def _silent(vitals: ProcessStatus, now: float) -> float:
    return now - vitals.taken_at
