"""The entries and enqueue events that a scheduler shows to Asynq's programs (`rdb.WriteSchedulerEntries`).

A scheduler rewrites the list of its entries every few seconds. The list expires by itself, so a scheduler whose list is
gone is dead. The history of an entry has the IDs of the tasks that it enqueued.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from rota.core.text import counted, unstopped
from rota.errors import PayloadError
from rota.wire.keys import Keys
from rota.wire.look_task import MAX_PAGE
from rota.wire.message import from_timestamp, to_timestamp
from rota.wire.names import text
from rota.wire.proto import SchedulerEnqueueEvent, SchedulerEntry
from rota.wire.script import Call, load


class EntryRecord(NamedTuple):
    """One entry. `options` are texts such as `Queue("low")`; times are in nanoseconds, None for never."""

    id: str
    spec: str
    task_type: str
    payload: bytes
    options: Sequence[str]
    next_ns: int | None
    previous_ns: int | None


class EnqueueRecord(NamedTuple):
    """One enqueue of an entry."""

    task_id: str
    enqueued_ns: int | None


def list_key(keys: Keys) -> str:
    """The sorted set of the keys of all schedulers' entries."""
    return f"{keys.prefix}:schedulers"


def entries_key(keys: Keys, host: str, pid: int, scheduler_id: str) -> str:
    """The list of the entries of one scheduler."""
    return f"{keys.prefix}:schedulers:{{{host}:{pid}:{scheduler_id}}}"


def history_key(keys: Keys, entry_id: str) -> str:
    """The sorted set of the enqueue events of one entry."""
    return f"{keys.prefix}:scheduler_history:{entry_id}"


def write_entries(keys: Keys, own: str, entries: Sequence[bytes], ttl: timedelta) -> list[Call[bool]]:
    """Replace the entries of a scheduler, whose key is `own`. Without entries only the life of the list is extended."""
    seconds = int(ttl.total_seconds())
    return [
        Call(load("server_list"), (list_key(keys),), (own, seconds), bool),
        Call(load("scheduler_entries"), (own,), (seconds, *entries), bool),
    ]


def clear_entries(keys: Keys, own: str) -> list[Call[bool]]:
    """Remove a scheduler that stops."""
    return [
        Call(load("server_list"), (list_key(keys),), (own, 0), bool),
        Call(load("server_clear"), (own, own), (), bool),
    ]


def add_event(keys: Keys, entry_id: str, task_id: str, enqueued_ns: int) -> Call[None]:
    """Add an enqueue to the history of an entry."""
    event = SchedulerEnqueueEvent(task_id=task_id, enqueue_time=to_timestamp(enqueued_ns)).SerializeToString()
    return Call(load("scheduler_event"), (history_key(keys, entry_id),), (enqueued_ns // 10**9, event), lambda _: None)


def schedulers(keys: Keys, start: int, count: int = MAX_PAGE) -> Call[list[str]]:
    """Read a page of the keys of schedulers' entries. A scheduler whose list is gone is dead."""
    return Call(load("look_servers"), (list_key(keys),), (start, count), lambda reply: [text(key) for key in reply])


def history(keys: Keys, entry_id: str, start: int, count: int) -> Call[Sequence[bytes]]:
    """Read a page of the enqueue events of an entry, the latest first."""
    return Call(load("look_servers"), (history_key(keys, entry_id),), (start, count), lambda reply: reply)


def pack_entry(entry: EntryRecord) -> bytes:
    """Encode an entry."""
    return SchedulerEntry(
        id=entry.id,
        spec=entry.spec,
        task_type=entry.task_type,
        task_payload=entry.payload,
        enqueue_options=entry.options,
        next_enqueue_time=to_timestamp(entry.next_ns),
        prev_enqueue_time=to_timestamp(entry.previous_ns),
    ).SerializeToString()


def unpack_entry(data: bytes) -> EntryRecord:
    """Decode an entry. Raises `PayloadError` if it is not valid."""
    entry: Any = _decoded(SchedulerEntry, data, "entry of a scheduler")
    return EntryRecord(
        id=entry.id,
        spec=entry.spec,
        task_type=entry.task_type,
        payload=entry.task_payload,
        options=tuple(entry.enqueue_options),
        next_ns=from_timestamp(entry.next_enqueue_time),
        previous_ns=from_timestamp(entry.prev_enqueue_time),
    )


def unpack_event(data: bytes) -> EnqueueRecord:
    """Decode an enqueue event. Raises `PayloadError` if it is not valid."""
    event: Any = _decoded(SchedulerEnqueueEvent, data, "enqueue event")
    return EnqueueRecord(event.task_id, from_timestamp(event.enqueue_time))


def _decoded(kind: Any, data: bytes, what: str) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise PayloadError(f"Not an {what} ({counted(len(data), 'byte')}): {unstopped(error)}.") from error
