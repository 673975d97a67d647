"""Snapshots of servers, of Rota or Asynq, and of the tasks they run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from rota.errors import PayloadError
from rota.wire.look_server import ServerLook
from rota.wire.server_record import RunningTask, is_own, unpack_running, unpack_server
from rota.wire.times import from_unix_ns
from rota.wire.worker_about import WorkerAbout


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSnapshot:
    """A task that a server is running. A long payload is cut off."""

    id: str
    type: str
    payload: bytes
    queue: str
    started_at: datetime | None
    deadline: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSnapshot:
    """A server as of its last heartbeat, a few seconds ago.

    `status` is `active`, `stopped` (does not fetch) or `closed` (shutting down). `queues` maps names to priorities.
    """

    id: str
    host: str
    pid: int
    concurrency: int
    queues: Mapping[str, int]
    strict_priority: bool
    status: str
    started_at: datetime | None
    active: int
    running: tuple[RunningSnapshot, ...]
    version: str | None = None
    """The version of Rota. This and the next five are None for a Go server and for a worker of an older Rota."""
    python_version: str | None = None
    memory_bytes: int | None = None
    """The resident memory of its process, without those of a process pool. None too where only Linux would tell it."""
    blocked_by: str | None = None
    """The task or the code that blocks its event loop; empty if the loop turns."""
    blocked_for: timedelta | None = None
    """How long its event loop has been blocked; 0 if the loop turns."""
    last_blocked_for: timedelta | None = None
    """How long the last blockage of its event loop took that is over; 0 if there was none."""
    json_properties: ClassVar[tuple[str, ...]] = ("is_go",)

    @property
    def is_go(self) -> bool:
        """Whether the server runs Asynq's Go library, not Rota."""
        return not is_own(self.id)


def read_server(look: ServerLook) -> ServerSnapshot | None:
    """Build the snapshot; None if the record has just expired or is not a valid record."""
    if look.server is None:
        return None
    try:
        state = unpack_server(look.server)
    except PayloadError:
        return None
    running = [task for record in look.running if (task := _running(record)) is not None]
    return ServerSnapshot(
        id=state.server_id,
        host=state.host,
        pid=state.pid,
        concurrency=state.concurrency,
        queues=state.queues,
        strict_priority=state.strict_priority,
        status=state.status,
        started_at=from_unix_ns(state.started_ns),
        active=state.active,
        running=tuple(sorted(running, key=lambda task: (task.queue, task.id))),
        **_about(look.about if is_own(state.server_id) else None),
    )


def _about(record: bytes | None) -> dict[str, Any]:
    about = WorkerAbout.from_json(record)
    return {
        "version": about.version,
        "python_version": about.python,
        "memory_bytes": about.memory_bytes,
        "blocked_by": about.blocked_by,
        "blocked_for": _seconds(about.blocked_seconds),
        "last_blocked_for": _seconds(about.last_blocked_seconds),
    }


def _seconds(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(seconds=number)


def _running(record: bytes) -> RunningSnapshot | None:
    try:
        task: RunningTask = unpack_running(record)
    except PayloadError:
        return None
    return RunningSnapshot(
        id=task.id,
        type=task.type,
        payload=task.payload,
        queue=task.queue,
        started_at=from_unix_ns(task.started_ns),
        deadline=from_unix_ns(task.deadline_ns),
    )
