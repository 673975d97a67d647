"""A task as a search reads it (`Candidate`), and as the search returns it (`Hit`)."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from rota.client.task_record import traceback_of
from rota.errors import PayloadError
from rota.inspect.face import TaskRef
from rota.inspect.query import Pattern
from rota.tasks.job import TaskState
from rota.wire.attempts import records
from rota.wire.message import unpack
from rota.wire.names import text as id_text
from rota.wire.proto import TaskMessage
from rota.wire.server_record import beginning_of_id
from rota.wire.times import from_unix, from_unix_ns


class Running(NamedTuple):
    """The start and the server of a running task, as the heartbeat of the server says."""

    server: str
    host: str
    pid: int
    started_at: datetime | None


class Candidate:
    """A task as a search has read it, decoded as far as it is needed. No stored data makes this fail."""

    def __init__(
        self,
        queue: str,
        id: str,
        state: TaskState,
        score: float | None,
        fields: Mapping[str, bytes | None],
        running: Running | None = None,
    ) -> None:
        self.queue = queue
        self.id = id
        self.state = state
        self.score = score
        self.fields = fields
        self.running = running

    @cached_property
    def message(self) -> TaskMessage:
        """The message; a blank one if it is missing or cannot be decoded."""
        try:
            return unpack(self.fields.get("msg") or b"")
        except PayloadError:
            return TaskMessage()

    @cached_property
    def at(self) -> datetime | None:
        """The time that `before:` and `after:` compare; None if it is not known."""
        match self.state:
            case TaskState.PENDING:
                since = self.fields.get("pending_since") or b""
                return from_unix_ns(int(since)) if since.isdigit() and len(since) < 25 else None
            case TaskState.ACTIVE:
                return None if self.running is None else self.running.started_at
            case TaskState.COMPLETED:
                return from_unix(self.message.completed_at)
            case _:
                return from_unix(self.score)

    @cached_property
    def workers(self) -> frozenset[str]:
        """The names of the workers that run the task or began an attempt at it: ID, host, and host:pid.

        Of an attempt only the beginning of its server's ID is known.
        """
        found: set[str] = set()
        if self.running is not None:
            found |= {self.running.server, self.running.host, f"{self.running.host}:{self.running.pid}"}
        if self.state is TaskState.ACTIVE:
            found.add(id_text(self.fields.get("rota_token") or b"").rpartition("-")[0])
        for record in records(self.fields.get("rota_attempts") or b""):
            host = record.get("host")
            found |= {str(record.get("worker") or ""), str(host or ""), f"{host}:{record.get('pid')}" if host else ""}
        return frozenset((found | {beginning_of_id(name) for name in found}) - {""})

    @cached_property
    def payload_value(self) -> Any:
        """The payload as JSON; `NOT_JSON` if it is not JSON in UTF-8."""
        return _json(self.message.payload)

    @cached_property
    def result_value(self) -> Any:
        """The result as JSON; `NOT_JSON` if it is not JSON in UTF-8."""
        return _json(self.fields.get("result") or b"")


_SERVER_ID = re.compile(r"(rota-[0-9a-f]{8}-[0-9a-f]{4})-[0-9a-f-]{22}")


def beginnings(ids: Iterable[Pattern]) -> Iterator[Pattern]:
    """Yield the beginnings of whole IDs of Rota's servers: an attempt tells no more of its worker."""
    for each in ids:
        if each.is_exact and (found := _SERVER_ID.fullmatch(each.parts[0])):
            yield Pattern((found[1],))


NOT_JSON = object()
"""Stands for a payload or result that is not JSON in UTF-8."""


class _Number(str):
    """A number as it is written in JSON."""

    __slots__ = ()


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode(), parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except (ValueError, RecursionError):
        return NOT_JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A task that matches, as the search has seen it.

    `at` is the time that `before:` and `after:` compare: since when the task waits, when it is due, when it joined its
    group, started, was archived or completed. The fields of the message are blank if it is missing or damaged.
    `traceback` is filled only if the search was asked for it, and only of the last failure in a worker of Rota.
    """

    ref: TaskRef
    state: TaskState
    at: datetime | None
    type: str
    payload: bytes
    error: str
    failed_at: datetime | None
    retried: int
    max_retry: int
    group: str
    traceback: str = ""


def hit_of(task: Candidate) -> Hit:
    """Return what is known about a task that matches."""
    message = task.message
    return Hit(
        ref=TaskRef(task.queue, task.id),
        state=task.state,
        at=task.at,
        type=message.type,
        payload=message.payload,
        error=message.error_msg,
        failed_at=from_unix(message.last_failed_at),
        retried=message.retried,
        max_retry=message.retry,
        group=message.group_key,
        traceback=traceback_of(task.fields.get("rota_traceback") or b"", message),
    )
