"""The pause of a queue: for its workers, for its producers, or for both; who paused it, why, and since when.

Two keys of a queue tell how it is paused:

- `asynq:{q}:paused` is Asynq's. Its workers and Rota's obey it: while it exists, they take no task from the queue.
- `rota:{q}:pause` is a hash that only Rota has. It holds who paused the queue and why, and whether producers are
  refused. Each script that enqueues reads one of its fields, which does not exist as long as producers may enqueue.

The hash may outlive the pause that it describes, because a Go program resumes a queue by deleting Asynq's key. So the
part about workers counts only while Asynq's key has the value that the hash names. A pause for both names that value
for the producers as well, and ends for both. A refusal that was made for producers alone ends only by `resume`.

Tasks that the queue accepted before are not refused: retries, scheduled tasks that are due, tasks that a worker hands
back, and the results of aggregations.
"""

import json
import shlex
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias, cast

from rota.errors import QueuePaused
from rota.wire.keys import QueueKeys
from rota.wire.script import Call, load
from rota.wire.times import from_unix

Whom: TypeAlias = Literal["workers", "producers", "both"]
Kind: TypeAlias = Literal["pause", "drain", "delete"]
REFUSAL_CODE = "QUEUEPAUSED"
"""How the error reply of a script begins that was refused, because the queue refuses its producers."""
MOST_CHARACTERS = 1000
"""The longest reason and name that are stored: each refused enqueue is answered with them."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop of the workers or the producers of a queue: by whom, why, and since when. Go leaves only the time."""

    kind: Kind = "pause"
    by: str = ""
    reason: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pauses:
    """How a queue is paused. None for those who are not stopped."""

    workers: Stop | None
    producers: Stop | None


def pause(keys: QueueKeys, whom: Whom, *, by: str, reason: str, kind: Kind = "pause") -> Call[Pauses | None]:
    """Pause a queue. Returns how it is paused then, or None if it is being deleted. Can be sent again."""
    return Call(
        load("steer_pause"),
        (keys.paused, keys.pause),
        (whom, record(keys.queue, kind, by, reason)),
        lambda raw: None if raw is None else read(raw),
    )


def resume(keys: QueueKeys, whom: Whom = "both") -> Call[Pauses]:
    """Resume a queue. Returns how it was paused before."""
    return Call(load("steer_resume"), (keys.paused, keys.pause), (whom,), read)


def look(keys: QueueKeys) -> Call[Pauses]:
    """Read how a queue is paused."""
    return Call(load("look_pause"), (keys.paused, keys.pause), (), read)


def record(queue: str, kind: Kind, by: str, reason: str) -> str:
    """Write who stops a queue and why. It is ASCII, because error replies contain it."""
    return json.dumps({"queue": queue, "kind": kind, "by": by[:MOST_CHARACTERS], "why": reason[:MOST_CHARACTERS]})


def read(row: Any) -> Pauses:
    """Read what the fragment `pause_row` returns."""
    paused, workers, workers_at, workers_with, producers, producers_at, producers_with = row
    stopped = None
    if paused is not None:
        said = Stop() if workers is None or workers_with != paused else _stop(workers, workers_at)
        stopped = replace(said, since=from_unix(_seconds(paused)))
    bound = producers_with is not None and producers_with != paused  # a Go program has resumed the queue
    return Pauses(stopped, None if producers is None or bound else _stop(producers, producers_at))


def read_refusal(text: str) -> QueuePaused:
    """Make the error of a refused enqueue from the error reply of its script."""
    _, at, stored = text.split(" ", 2)
    stop, queue = _stop(stored.encode(), at.encode()), _fields(stored).get("queue", "")
    since = f" since {stop.since:%Y-%m-%d %H:%M:%S} UTC" if stop.since else ""
    by = f" by {stop.by}" if stop.by else ""
    why = f" ({stop.reason})" if stop.reason else ""
    doing, remedy = _WORDS[stop.kind]
    return QueuePaused(
        f"Queue {queue!r} took no task: it {doing}{since}{by}{why}. {remedy.format(queue=shlex.quote(queue))}",
        queue=queue,
        kind=stop.kind,
        by=stop.by,
        reason=stop.reason,
        since=stop.since,
    )


_WORDS: dict[Kind, tuple[str, str]] = {
    "pause": ("is paused for producers", "Enqueue again later, or resume it: rota queue resume {queue}"),
    "drain": ("is being drained", "Enqueue to another queue, or end the drain: rota queue resume {queue}"),
    "delete": (
        "is being deleted",
        "Enqueue again when that is over. If the deletion was broken off, finish it with rota queue delete {queue}, or "
        "keep the rest with rota queue resume {queue}",
    ),
}


def _stop(stored: bytes, at: bytes | None) -> Stop:
    fields = _fields(stored.decode(errors="replace"))
    kind = fields.get("kind")
    return Stop(
        kind if kind in _WORDS else "pause",
        fields.get("by", ""),
        fields.get("why", ""),
        from_unix(_seconds(at)),
    )


def _fields(stored: str) -> dict[str, str]:
    try:
        fields = json.loads(stored)
    except ValueError:
        return {}  # written by hand
    return cast("dict[str, str]", fields) if isinstance(fields, dict) else {}


def _seconds(at: bytes | None) -> float | None:
    # A queue can be paused by hand, with any value.
    try:
        return float(at or 0)
    except ValueError:
        return None
