"""Reports of running attempts: progress and log lines, written only while the attempt is the task's own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call, load

MAX_REPORTS = 200


class Report(NamedTuple):
    """What one attempt has to tell: its latest progress, and log lines that each end in a line feed; empty is none."""

    id: str
    token: str
    progress: bytes = b""
    log: bytes = b""


def report(keys: QueueKeys, reports: Sequence[Report], *, max_log_bytes: int) -> Call[int]:
    """Write at most 200 reports; a log too long loses its oldest lines. Answers how many reports were written."""
    args: list[Argument] = [keys.task_prefix, max_log_bytes]
    for each in reports:
        args += each
    return Call(load("report"), (keys.lease,), args, _count)


def _count(reply: Any) -> int:
    return int(reply)
