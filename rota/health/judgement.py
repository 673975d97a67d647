"""Live and ready: what the vital signs of one worker process, or of several, amount to.

Live: its event loop turns, or has not been blocked for too long. Whether the broker answers does not matter: a
restart would not bring it back, and would cost what runs.
Ready: it takes tasks and records outcomes; a busy worker is ready as well. Several are ready when one is, and none of
them is at work without being able to: a process that starts or stops does no harm, one that cannot fetch does.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rota.health.vitals import Vitals

SHORT_SECONDS = 1.0
"""A loop that has not turned for less is not worth a word."""
SILENT_SECONDS = 3.0
"""Reports come several times a second; after so long without one something in the process holds the interpreter."""


class Judgement(NamedTuple):
    """Whether it is so, and why: one line for each process."""

    holds: bool
    lines: Sequence[str]

    def __str__(self) -> str:
        return "; ".join(self.lines)


def live(processes: Sequence[Vitals], now: float) -> Judgement:
    """Judge whether the processes live. Without any there is one that starts: that is life too."""
    judged = [_live(vitals, now) for vitals in processes]
    return Judgement(all(holds for holds, _ in judged), [line for _, line in judged] or ["starting"])


def ready(processes: Sequence[Vitals], now: float) -> Judgement:
    """Judge whether a process takes tasks and records outcomes, and no other one tries to in vain."""
    judged = [_ready(vitals, now) for vitals in processes]
    in_vain = any(not holds and vitals.status == "active" for vitals, (holds, _) in zip(processes, judged, strict=True))
    works = any(holds for holds, _ in judged) and not in_vain
    return Judgement(works, [line for _, line in judged] or ["not ready: starting"])


def _live(vitals: Vitals, now: float) -> tuple[bool, str]:
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


def _ready(vitals: Vitals, now: float) -> tuple[bool, str]:
    why = _obstacle(vitals, now)
    head = f"worker {vitals.pid}"
    return (False, f"{head} not ready: {why}") if why else (True, f"{head} ready")


def _obstacle(vitals: Vitals, now: float) -> str:
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


def _blocked(vitals: Vitals, now: float) -> float:
    return now - vitals.turned_at if vitals.turned_at else 0.0


def _silent(vitals: Vitals, now: float) -> float:
    return now - vitals.taken_at
