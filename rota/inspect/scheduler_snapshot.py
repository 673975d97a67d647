"""Snapshots of the entries of schedulers, of Rota or Asynq, and of their enqueues."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rota.errors import PayloadError
from rota.wire.option_text import TextOption, render
from rota.wire.scheduler_entry import unpack_entry, unpack_event
from rota.wire.server_record import is_own
from rota.wire.times import from_unix_ns

_PAUSES = {render(TextOption("Paused", word)): word for word in ("stopped", "held", "paused")}


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerEntrySnapshot:
    """A schedule as a running scheduler shows it in Asynq's keys. `options` are texts such as `Queue("low")`.

    `scheduler` is `host:pid:id` of the scheduler. Rota's leader shows all schedules, a Go scheduler its own.
    """

    id: str
    spec: str
    task_type: str
    payload: bytes
    options: tuple[str, ...]
    next_at: datetime | None
    previous_at: datetime | None
    scheduler: str
    pause: str = ""
    """Why it does not fire now: `stopped`, `held` (all schedules are), `paused` (until a time), or empty if it does."""
    json_properties: ClassVar[tuple[str, ...]] = ("is_go",)

    @property
    def is_go(self) -> bool:
        """Whether the scheduler runs Asynq's Go library, not Rota."""
        return not is_own(self.scheduler.rpartition(":")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueEventSnapshot:
    """One enqueue of an entry."""

    task_id: str
    enqueued_at: datetime | None


def read_entries(key: str, records: Sequence[bytes]) -> list[SchedulerEntrySnapshot]:
    """Build the snapshots of the entries in one list. Records that are not valid are left out."""
    scheduler = key.partition("{")[2].removesuffix("}")
    found: list[SchedulerEntrySnapshot] = []
    for record in records:
        try:
            entry = unpack_entry(record)
        except PayloadError:
            continue
        found.append(
            SchedulerEntrySnapshot(
                id=entry.id,
                spec=entry.spec,
                task_type=entry.task_type,
                payload=entry.payload,
                options=tuple(each for each in entry.options if each not in _PAUSES),
                next_at=from_unix_ns(entry.next_ns),
                previous_at=from_unix_ns(entry.previous_ns),
                scheduler=scheduler,
                pause=next((_PAUSES[each] for each in entry.options if each in _PAUSES), ""),
            )
        )
    return found


def read_events(records: Sequence[bytes]) -> list[EnqueueEventSnapshot]:
    """Build the snapshots of enqueue events. Records that are not valid are left out."""
    found: list[EnqueueEventSnapshot] = []
    for record in records:
        try:
            event = unpack_event(record)
        except PayloadError:
            continue
        found.append(EnqueueEventSnapshot(task_id=event.task_id, enqueued_at=from_unix_ns(event.enqueued_ns)))
    return found
