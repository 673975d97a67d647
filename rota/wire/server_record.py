"""The records of servers and of the tasks they run, in Asynq's format, and of the task types they handle.

A record expires ten seconds, or two intervals, after its last heartbeat. Of Asynq's four keys, two belong to the server
and two are lists of all servers. In a Cluster these are on different nodes, so there a heartbeat is several calls, sent
in one burst. A long list is read in pages.

Only Rota has a record of what a worker tells about itself (`rota.wire.worker_about`), beside that of the server.

Only Rota has the record of task types too. It stands under its digest, so processes that run the same code share one
record. Each heartbeat extends the record and the server's entry in a list of servers and digests. It does not send the
record. If the record is missing (the first server with this code, a restart of Redis without its data, FLUSHALL), the
reply says so, and the server sends it with `publish`. `rota.tasks.type_record` makes the record.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from google.protobuf.message import DecodeError

from rota.core.text import counted, unstopped
from rota.errors import PayloadError
from rota.wire.keys import Keys
from rota.wire.message import from_timestamp, to_timestamp
from rota.wire.proto import ServerInfo, WorkerInfo
from rota.wire.script import Argument, Call, load
from rota.wire.worker_about import WorkerAbout
from rota.wire.worker_order import read_orders

TTL = timedelta(seconds=10)
MAX_SHOWN_PAYLOAD_BYTES = 16384

_OWN = "rota-"
"""How the IDs of Rota's servers begin. Asynq accepts any text."""

_WORKER = re.compile("[0-9a-f]{12}")
"""The ID of a worker, with which the tokens of its attempts begin."""

Status = Literal["new", "active", "stopped", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """The record of one server. Each server makes a new `server_id` at its start; `queues` maps names to priorities."""

    host: str
    pid: int
    server_id: str
    concurrency: int
    queues: Mapping[str, int]
    strict_priority: bool = False
    status: str = "active"
    started_ns: int | None = None
    active: int = 0
    about: WorkerAbout | None = None
    """Told only by Rota, in a record of its own: a field in Asynq's record would reach Go programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTask:
    """A task that a server is running, with its start and its deadline as Unix times in nanoseconds."""

    id: str
    type: str
    payload: bytes
    queue: str
    started_ns: int | None = None
    deadline_ns: int | None = None


def new_server_id(worker: str = "") -> str:
    """Return a new ID for a server that starts. It begins as `beginning_of_id` says, so that attempts can be found."""
    digits = uuid.uuid4().hex
    return f"{_OWN}{uuid.UUID(worker + digits[len(worker) :] if _WORKER.fullmatch(worker) else digits)}"


def beginning_of_id(worker: str) -> str:
    """Return how the ID of the server begins whose attempts have this ID of a worker; empty for one of another form."""
    return f"{_OWN}{worker[:8]}-{worker[8:]}" if _WORKER.fullmatch(worker) else ""


def is_own(server_id: str) -> bool:
    """Whether a server is one of Rota."""
    return server_id.startswith(_OWN)


def ttl_of(heartbeat: timedelta) -> timedelta:
    """Return how long records live after a heartbeat: two intervals, and as in Asynq at least ten seconds."""
    return max(TTL, 2 * heartbeat)


class Beaten(NamedTuple):
    """The reply to a part of a heartbeat.

    `types_missing` says that the record of task types has to be published. `orders` are those to this server, as ID and
    JSON (`rota.wire.worker_order`).
    """

    types_missing: bool
    orders: Sequence[tuple[str, bytes]] = ()


def beat(
    keys: Keys,
    server: ServerState,
    running: Sequence[RunningTask],
    ttl: timedelta = TTL,
    *,
    spread: bool = True,
    types: str = "",
    answers: Mapping[str, str] = MappingProxyType({}),
) -> list[Call[Beaten]]:
    """Write the records of a server and its running tasks, and add it to the lists, which also drops old entries.

    Returns three calls, or one call if the keys are not `spread` over the nodes of a Cluster. With the digest `types`
    the life of that record of task types is extended. `answers` are those to orders, by their IDs.
    """
    own, workers = _keys(keys, server)
    seconds = int(ttl.total_seconds())
    about = b"" if server.about is None else server.about.to_json()
    args: list[Argument] = [seconds, pack_server(server), about, *_answers(answers)]
    seen: set[str] = set()
    for task in running:
        # Asynq uses the task ID as the name of the field, and never reads the name. The queue is appended to an ID that
        # occurs twice, because tasks of two queues may have the same ID.
        args += (f"{task.id}\0{task.queue}" if task.id in seen else task.id, pack_running(server, task))
        seen.add(task.id)
    script_keys = (own, workers, _orders(keys, server), _about(keys, server))
    if not spread:
        everywhere = (*script_keys, keys.servers, keys.workers, *_type_keys(keys, types))
        return [Call(load("server_beat"), everywhere, args, _beaten)]
    return [Call(load("server_write"), script_keys, args, _beaten), *listed(keys, own, workers, ttl, types=types)]


def listed(keys: Keys, own: str, workers: str, ttl: timedelta = TTL, *, types: str = "") -> list[Call[Beaten]]:
    """Add a server to the lists by the keys of its two records, or remove it (`ttl` 0)."""
    seconds = int(ttl.total_seconds())
    return [
        Call(load("server_list"), (keys.servers, *_type_keys(keys, types)), (own, seconds), _listed),
        Call(load("server_list"), (keys.workers,), (workers, seconds), _listed),
    ]


def publish(keys: Keys, types: str, record: bytes, ttl: timedelta = TTL) -> Call[None]:
    """Write the record of task types with the digest `types`."""
    arguments = (int(ttl.total_seconds()), record)
    return Call(load("server_types"), (keys.published_types(types),), arguments, _nothing)


def clear(
    keys: Keys, server: ServerState, *, types: str = "", answers: Mapping[str, str] = MappingProxyType({})
) -> list[Call[Beaten]]:
    """Remove a server from the lists and delete its record, at the end of a shutdown.

    The last answers to orders are written. The record of its task types expires by itself, because other servers may
    share it.
    """
    own, workers = _keys(keys, server)
    calls = [
        *listed(keys, own, workers, timedelta(0), types=types),
        Call(load("server_clear"), (own, workers, _about(keys, server)), (), _listed),
    ]
    if answers:
        calls.append(Call(load("server_answers"), (_orders(keys, server),), _answers(answers), _listed))
    return calls


def pack_server(server: ServerState) -> bytes:
    """Encode the record of a server."""
    return ServerInfo(
        host=server.host,
        pid=server.pid,
        server_id=server.server_id,
        concurrency=server.concurrency,
        queues=server.queues,
        strict_priority=server.strict_priority,
        status=server.status,
        start_time=to_timestamp(server.started_ns),
        active_worker_count=server.active,
    ).SerializeToString()


def unpack_server(data: bytes) -> ServerState:
    """Decode the record of a server. Raises `PayloadError` if it is not valid."""
    try:
        info = ServerInfo.FromString(data)
    except DecodeError as error:
        raise PayloadError(f"Not a server record ({counted(len(data), 'byte')}): {unstopped(error)}.") from error
    return ServerState(
        host=info.host,
        pid=info.pid,
        server_id=info.server_id,
        concurrency=info.concurrency,
        queues=dict(info.queues),
        strict_priority=info.strict_priority,
        status=info.status,
        started_ns=from_timestamp(info.start_time),
        active=info.active_worker_count,
    )


def pack_running(server: ServerState, task: RunningTask) -> bytes:
    """Encode the record of one running task.

    A long payload is cut, because the record is only shown to people and is written again every few seconds.
    """
    return WorkerInfo(
        host=server.host,
        pid=server.pid,
        server_id=server.server_id,
        task_id=task.id,
        task_type=task.type,
        task_payload=task.payload[:MAX_SHOWN_PAYLOAD_BYTES],
        queue=task.queue,
        start_time=to_timestamp(task.started_ns),
        deadline=to_timestamp(task.deadline_ns),
    ).SerializeToString()


def unpack_running(data: bytes) -> RunningTask:
    """Decode the record of one running task. Raises `PayloadError` if it is not valid."""
    try:
        info = WorkerInfo.FromString(data)
    except DecodeError as error:
        raise PayloadError(
            f"Not a record of a running task ({counted(len(data), 'byte')}): {unstopped(error)}."
        ) from error
    return RunningTask(
        id=info.task_id,
        type=info.task_type,
        payload=info.task_payload,
        queue=info.queue,
        started_ns=from_timestamp(info.start_time),
        deadline_ns=from_timestamp(info.deadline),
    )


def _keys(keys: Keys, server: ServerState) -> tuple[str, str]:
    identity = server.host, server.pid, server.server_id
    return keys.server(*identity), keys.worker(*identity)


def _orders(keys: Keys, server: ServerState) -> str:
    return keys.orders(server.host, server.pid, server.server_id)


def _about(keys: Keys, server: ServerState) -> str:
    return keys.about(server.host, server.pid, server.server_id)


def _answers(answers: Mapping[str, str]) -> list[Argument]:
    args: list[Argument] = [len(answers)]
    for order_id, answer in answers.items():
        args += (order_id, answer)
    return args


def _beaten(reply: Any) -> Beaten:
    missing, orders = reply
    return Beaten(bool(missing), read_orders(orders))


def _listed(reply: Any) -> Beaten:
    return Beaten(bool(reply))


def _type_keys(keys: Keys, types: str) -> tuple[str, ...]:
    return (keys.types, keys.published_types(types)) if types else ()


def _nothing(reply: Any) -> None:
    return None
