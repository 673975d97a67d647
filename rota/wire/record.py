"""Recording how attempts ended: one call for many outcomes of one queue.

Both scripts check the attempt token of every task before they write, and are safe to repeat: an outcome that was
recorded already is answered with `RECORDED`, not with an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
