"""Waiting for the end of a task. A Rota worker announces the end on a channel; a Go server does not, so poll too."""

from typing import Any, NamedTuple

from rota.errors import PayloadError
from rota.wire.keys import QueueKeys
from rota.wire.names import text
from rota.wire.script import Call, load


class Watched(NamedTuple):
    """The state of a task: `""` if it does not exist. `result` and `error` are set if it has ended.

    `kept` is false if the task has not ended and its result will not be kept (it has no retention).
    """

    state: str
    result: bytes = b""
    error: str = ""
    end: str = ""
    kept: bool = True

    @property
    def ended(self) -> bool:
        """Whether the task has ended and will not run again by itself."""
        return self.state in ("completed", "archived", "cancelled", "revoked")


def watch(keys: QueueKeys, task_id: str) -> Call[Watched]:
    """Read a task. If it has not ended and has retention, its end will be announced on `keys.ended(task_id)`."""
    return Call(load("watch"), (keys.task(task_id),), (), _watched)


def announced(message: bytes) -> Watched:
    """Decode an announcement: the state, a line feed, and the result or the error text."""
    state, _, rest = message.partition(b"\n")
    if state == b"completed":
        return Watched("completed", result=rest)
    return Watched(text(state), error=rest.decode(errors="replace"))


def _watched(raw: Any) -> Watched:
    if not raw:
        return Watched("")
    state, result, message, end, kept = raw
    return Watched(text(state), result, _error(message, text(end)), text(end), bool(kept))


def _error(message: bytes, end: str) -> str:
    from rota.wire.message import (
        explained,  # imported here: a program that only enqueues does not load protobuf
        unpack,
    )

    try:
        return explained(unpack(message), end) if message else ""
    except PayloadError as error:
        return str(error)  # another program wrote the message, and a worker has archived the task for that reason
