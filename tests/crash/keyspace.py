"""What Redis holds, read with a plain client and judged key by key. Nothing of Rota is used here."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import redis

PLACES = ("pending", "active", "scheduled", "retry", "archived", "completed")
TYPE, MAX_RETRY, RETRIED = 1, 5, 6
"""Fields of Asynq's message."""
_QUEUE_KEY = re.compile(rb"asynq:\{(?P<queue>[^}]*)\}:(?P<name>.*)", re.DOTALL)
_OWN_KEY = re.compile(rb"rota:\{(?P<queue>[^}]*)\}:(?P<name>.*)", re.DOTALL)
_COUNTER = re.compile(r"(processed|failed|crashed|trimmed)(:\d{4}-\d\d-\d\d)?")
_OWN_NAMES = re.compile(r"(crashed|trimmed|repaired)(:\d{4}-\d\d-\d\d)?")
_MINUTES = re.compile(r"minute:(\d+|open|total)")


@dataclass(slots=True)
class Stored:
    """A task as its hash shows it."""

    queue: str
    state: str
    type: str = ""
    retried: int = 0
    max_retry: int = 0
    ending: str = ""
    result: bytes | None = None
    crashes: int = 0
    places: list[str] = field(default_factory=list)


@dataclass
class Keyspace:
    """All of it, and what is wrong with it."""

    tasks: dict[tuple[str, str], Stored] = field(default_factory=dict)
    counters: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By queue and name."""
    faults: list[str] = field(default_factory=list)


def read(client: redis.Redis) -> Keyspace:
    """Read every key. `client` decodes nothing."""
    found = Keyspace()
    listed: dict[tuple[str, str], list[str]] = {}
    leases: set[tuple[str, str]] = set()
    locks: dict[str, tuple[str, str]] = {}
    for raw in client.scan_iter(count=1000):
        match = _QUEUE_KEY.fullmatch(raw)
        if match is None:
            _other_key(client, raw, found)
            continue
        queue, name = match["queue"].decode(), match["name"].decode()
        if name.startswith("t:"):
            if (task := _task(client, raw, queue)) is not None:
                found.tasks[queue, name[2:]] = task
        elif name in PLACES or name.startswith("g:"):
            for task_id in _members(client, raw):
                listed.setdefault((queue, task_id), []).append(name)
        elif name == "lease":
            leases.update((queue, task_id) for task_id in _members(client, raw))
        elif name.startswith("unique:"):
            if (holder := client.get(raw)) is not None:  # else its time is over since it was listed
                locks[raw.decode()] = (queue, holder.decode())
        elif _COUNTER.fullmatch(name):
            found.counters[queue, name.split(":")[0]] += 0 if ":" in name else int(client.get(raw) or 0)
        elif name not in ("groups", "paused", "aggregation_sets"):
            found.faults.append(f"unknown key {raw.decode()}")
        else:
            _empty_aggregation(client, raw, name, found)
    _compare(found, listed, leases, locks)
    return found


def read_message(message: bytes) -> dict[int, int | bytes]:
    """Read the fields of Asynq's message; of one that occurs twice the last counts. Empty if it is none."""
    try:
        return dict(_fields(message))
    except (ValueError, IndexError):
        return {}


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 2:
            size = varint()
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {tag & 7} in a message of Asynq")


def _task(client: redis.Redis, key: bytes, queue: str) -> Stored | None:
    row = client.hmget(key, "state", "msg", "rota_end", "rota_crashes", "result")
    if row[0] is None and row[1] is None:
        # Either it was deleted while we looked, or it is an orphan without the two fields of every task.
        return Stored(queue, "?") if client.exists(key) else None
    state, message, ending, crashes = (word or b"" for word in row[:4])
    said = read_message(message)
    return Stored(
        queue,
        state.decode(),
        bytes(said.get(TYPE, b"")).decode(),
        int(said.get(RETRIED, 0)),
        int(said.get(MAX_RETRY, 0)),
        ending.decode(),
        row[4],
        int(crashes or 0),
    )


def _members(client: redis.Redis, key: bytes) -> list[str]:
    raw = client.lrange(key, 0, -1) if client.type(key) == b"list" else client.zrange(key, 0, -1)
    return [member.decode() for member in raw]


def _other_key(client: redis.Redis, raw: bytes, found: Keyspace) -> None:
    text = raw.decode()
    own = _OWN_KEY.fullmatch(raw)
    if own is not None and _OWN_NAMES.fullmatch(own["name"].decode()):
        queue, name = own["queue"].decode(), own["name"].decode()
        found.counters[queue, name.split(":")[0]] += 0 if ":" in name else int(client.get(raw) or 0)
    elif own is not None and _MINUTES.fullmatch(own["name"].decode()):
        if not text.endswith((":open", ":total")) and client.ttl(raw) < 0 and client.exists(raw):
            found.faults.append(f"{text} never expires")
    elif own is not None and own["name"] == b"sweep":
        queue = own["queue"].decode()
        found.counters.update({(queue, f"repaired {kind.decode()}"): int(n) for kind, n in client.hgetall(raw).items()})
    elif re.match(r"asynq:(servers|workers):\{|rota:about:\{|rota:sweep:|rota:\{asynq:servers\}:types", text):
        if client.ttl(raw) < 0 and client.exists(raw):
            found.faults.append(f"{text} never expires")
    elif text not in ("asynq:queues", "asynq:servers", "asynq:workers"):
        found.faults.append(f"unknown key {text}")


def _empty_aggregation(client: redis.Redis, raw: bytes, name: str, found: Keyspace) -> None:
    if name == "aggregation_sets" and client.zcard(raw):
        found.faults.append(f"{raw.decode()} still lists a set under aggregation")


def _compare(
    found: Keyspace,
    listed: dict[tuple[str, str], list[str]],
    leases: set[tuple[str, str]],
    locks: dict[str, tuple[str, str]],
) -> None:
    for task, places in listed.items():
        if task not in found.tasks:
            found.faults.append(f"{task[1]} is listed in {places} of {task[0]} and has no hash")
        else:
            found.tasks[task].places = places
    for (queue, task_id), stored in found.tasks.items():
        expected = {"aggregating": "g:"}.get(stored.state, stored.state)
        if len(stored.places) != 1:
            found.faults.append(
                f"{task_id} in state {stored.state} of {queue} is listed in {stored.places or 'no place'}"
            )
        elif not stored.places[0].startswith(expected):
            found.faults.append(f"{task_id} says {stored.state} and is listed in {stored.places[0]} of {queue}")
        if (stored.state == "active") != ((queue, task_id) in leases):
            found.faults.append(
                f"{task_id} is {stored.state} and has {'no' if stored.state == 'active' else 'a'} lease"
            )
    found.faults += [f"lease of {task_id} in {queue} without a task" for queue, task_id in leases - found.tasks.keys()]
    for name, holder in locks.items():
        if holder not in found.tasks:
            found.faults.append(f"lock {name} is held by {holder[1]}, which is gone")
