"""What a running attempt writes: its lease (Asynq's `rdb.ExtendLease`), its reports, and how it ended.

Outcomes of one queue are recorded by one call for many. Both scripts check the attempt token of every task before
they write, and are safe to repeat: an outcome that was recorded already is answered with `RECORDED`, not with an
error. Progress and log lines are written only while the attempt holds its task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.names import raw
from rota.wire.script import Argument, Call, load

Kind = Literal["done", "complete", "retry", "archive", "requeue", "postpone"]
Ending = Literal["", "cancelled", "expired", "quarantined", "revoked"]

RECORDED, FENCED, GONE = 1, 2, 3


@dataclass(slots=True)
class Outcome:
    """How one attempt ended.

    `seconds` is the delay of a retry or postponement, or the retention of a completed task. `expected` is the message
    as fetched, given only when the attempt's lease may have lapsed. `text` is the result, error or reason; `trace` is
    what is stored as the traceback of a failure.
    """

    id: str
    token: str
    kind: Kind
    message: bytes = b""
    seconds: float = 0
    counts: bool = True
    text: bytes = b""
    ending: Ending = ""
    expected: bytes = b""
    trace: bytes = b""


def done(queue: QueueKeys, attempts: Sequence[str]) -> Call[dict[int, int]]:
    """Record plain successes (no retention, no lock); `attempts` alternates id and token.

    Answers with the refused ones, as index to RECORDED, FENCED or GONE.
    """
    args: list[Argument] = [queue.base, queue.task_prefix, queue.ended(""), *attempts]
    return Call(load("done"), (queue.active, queue.lease), args, _refused)


def record(queue: QueueKeys, outcomes: Sequence[Outcome]) -> Call[dict[int, int]]:
    """Record outcomes of any kind. Answers as `done` does."""
    keys = (queue.active, queue.lease, queue.pending, queue.scheduled, queue.retry, queue.archived, queue.completed)
    args: list[Argument] = [queue.base, queue.task_prefix, queue.ended("")]
    for o in outcomes:
        args += (raw(o.id), o.token, o.expected, o.kind, o.message, o.seconds, int(o.counts), o.text, o.ending, o.trace)
    return Call(load("record"), keys, args, _refused)


def _refused(reply: Any) -> dict[int, int]:
    return dict(zip(*[iter(reply)] * 2, strict=True))


MAX_REPORTS = 200


class TaskReport(NamedTuple):
    """What one attempt has to tell: its latest progress, and log lines that each end in a line feed; empty is none."""

    id: str
    token: str
    progress: bytes = b""
    log: bytes = b""


def report(keys: QueueKeys, reports: Sequence[TaskReport], *, max_log_bytes: int) -> Call[int]:
    """Write at most 200 reports; a log too long loses its oldest lines. Answers how many reports were written."""
    args: list[Argument] = [keys.task_prefix, max_log_bytes]
    for each in reports:
        args += each
    return Call(load("report"), (keys.lease,), args, _count)


def _count(reply: Any) -> int:
    return int(reply)


MAX_ATTEMPTS = 300


class Held(NamedTuple):
    """An attempt that runs. `expected` is its message as fetched, given only when its lease may have run out."""

    id: str
    token: str
    expected: bytes = b""


class Extended(NamedTuple):
    """By their indices: the attempts that are not ours any more, and those asked to be cancelled, with the reasons."""

    lost: list[int]
    cancelled: dict[int, str]


def extend(keys: QueueKeys, attempts: Sequence[Held], lease: timedelta) -> Call[Extended]:
    """Extend the leases of at most 300 attempts."""
    args: list[Argument] = [keys.task_prefix, int(lease.total_seconds())]
    for attempt in attempts:
        args += (raw(attempt.id), attempt.token, attempt.expected)
    return Call(load("lease"), (keys.lease,), args, _extended)


def _extended(reply: Any) -> Extended:
    lost, cancelled = reply
    pairs = zip(*[iter(cancelled)] * 2, strict=True)
    return Extended(list(lost), {index: reason.decode(errors="replace") for index, reason in pairs})
