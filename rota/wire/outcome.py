"""The scripts of a running attempt: its lease (Asynq's `rdb.ExtendLease`), its reports, and its outcome.

One call records many outcomes of one queue. The scripts `done` and `record` check the attempt token of every task
before they write, and can be repeated safely: for an outcome that was recorded before they return `RECORDED`, not an
error. Progress and log lines are written only while the attempt holds its task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, Literal, NamedTuple

from rota.wire.attempts import LIMIT_BYTES
from rota.wire.keys import QueueKeys
from rota.wire.names import raw
from rota.wire.script import Argument, Call, load

Kind = Literal["done", "complete", "retry", "archive", "requeue", "postpone"]
Ending = Literal["", "cancelled", "expired", "quarantined", "revoked"]

RECORDED, FENCED, GONE = 1, 2, 3


@dataclass(slots=True)
class Outcome:
    """The outcome of one attempt.

    `seconds` is the delay of a retry or postponement, or the retention of a completed task. `expected` is the message
    as fetched, given only if the attempt's lease may have expired. `text` is the result, error or reason; `trace` is
    the traceback to store for a failure, and `attempt` the record of the attempt (`wire.attempts`); empty for none.
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
    attempt: bytes = b""


def done(queue: QueueKeys, attempts: Sequence[str], counts: Sequence[Argument] = ()) -> Call[dict[int, int]]:
    """Record plain successes (no retention, no lock); `attempts` alternates ID and token.

    `counts` are the words of `rota.wire.minute` for these attempts. Nothing is counted if any outcome is refused.
    Returns the refused outcomes: a dict from their index to RECORDED, FENCED or GONE.
    """
    args: list[Argument] = [queue.base, queue.task_prefix, queue.ended_prefix, queue.minute_prefix, len(counts)]
    args += counts
    # The tasks of one fetch have one token, which is sent once: the server pays for each argument.
    ids, first = attempts[::2], 0
    for token, same in groupby(attempts[1::2]):
        after = first + len(list(same))
        args += (token, after - first, *ids[first:after])
        first = after
    return Call(load("done"), (queue.active, queue.lease), args, _refused)


def record(
    queue: QueueKeys,
    outcomes: Sequence[Outcome],
    counts: Sequence[Argument] = (),
    *,
    attempts_limit: int = LIMIT_BYTES,
) -> Call[dict[int, int]]:
    """Record outcomes of any kind. Returns the same as `done`.

    The records of a task's attempts take `attempts_limit` bytes of its hash at most.
    """
    keys = (queue.active, queue.lease, queue.pending, queue.scheduled, queue.retry, queue.archived, queue.completed)
    args: list[Argument] = [queue.base, queue.task_prefix, queue.ended_prefix, attempts_limit]
    args += (queue.minute_prefix, len(counts), *counts)
    for o in outcomes:
        args += (raw(o.id), o.token, o.expected, o.kind, o.message, o.seconds, int(o.counts), o.text, o.ending)
        args += (o.trace, o.attempt)
    return Call(load("record"), keys, args, _refused)


def _refused(reply: Any) -> dict[int, int]:
    return dict(zip(*[iter(reply)] * 2, strict=True))


MAX_REPORTS = 200


class TaskReport(NamedTuple):
    """New progress and log lines of one attempt. Each line ends in a line feed; empty bytes mean nothing new."""

    id: str
    token: str
    progress: bytes = b""
    log: bytes = b""


def report(keys: QueueKeys, reports: Sequence[TaskReport], *, max_log_bytes: int) -> Call[int]:
    """Write at most 200 reports, and return how many were written. A log that is too long loses its oldest lines."""
    args: list[Argument] = [keys.task_prefix, max_log_bytes]
    for each in reports:
        args += each
    return Call(load("report"), (keys.lease,), args, _count)


def _count(reply: Any) -> int:
    return int(reply)


MAX_ATTEMPTS = 300


class Held(NamedTuple):
    """A running attempt. `expected` is its message as fetched, given only if its lease may have expired."""

    id: str
    token: str
    expected: bytes = b""


class Extended(NamedTuple):
    """Indices of attempts that have lost their task, and the reasons of requests to cancel, by index."""

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
