"""The vital signs of one worker process: plain numbers and words, which a supervisor can be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
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


def read_vitals(fields: Mapping[str, Any]) -> Vitals:
    """Build the value from what JSON made of it."""
    return Vitals(**fields)
