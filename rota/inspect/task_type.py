"""Snapshots of the task types that live workers handle, from what the workers publish (`rota.tasks.type_record`).

During a rolling deploy two versions of the code run, so a type can have two versions here, each with its servers.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from rota.errors import PayloadError
from rota.inspect.server_snapshot import ServerSnapshot
from rota.tasks.routing import Matching, candidates
from rota.tasks.type_record import TypeRecord, TypeRecords, unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeVersion(TypeRecord):
    """A task type as some servers describe it. `servers` are their IDs, `matching` is how their app matches names."""

    servers: tuple[str, ...] = ()
    matching: Matching = "segments"


@dataclass(frozen=True, slots=True)
class TypeSnapshot:
    """A task type that live servers handle. `queues` are all queues that these servers serve.

    There are several `versions` if servers describe the type differently. The version of most servers is the first.
    """

    type: str
    queues: tuple[str, ...]
    versions: tuple[TypeVersion, ...]

    @property
    def servers(self) -> tuple[str, ...]:
        """The IDs of all servers that handle the type."""
        return tuple(sorted({server for version in self.versions for server in version.servers}))


@dataclass(frozen=True, slots=True)
class TypeList:
    """The task types that live servers handle, sorted by name.

    `unpublished` are the IDs of servers whose types are not known: Go servers, and workers that have just started.
    `omitted` is how many types did not fit into the records of their servers.
    """

    types: tuple[TypeSnapshot, ...] = ()
    unpublished: tuple[str, ...] = ()
    omitted: int = 0

    def find(self, type: str, servers: Collection[str] | None = None) -> TypeSnapshot | None:
        """Return what handles tasks of a type, as a worker finds its handler; with `servers`, only on one of these."""
        known = {each.type: each for each in self.types}
        for matching in get_args(Matching):
            for name in candidates(type, matching):
                found = known.get(name)
                if found is not None and any(_handles(each, matching, servers) for each in found.versions):
                    return found
        return None


def read_types(
    servers: Mapping[str, ServerSnapshot], listed: Iterable[tuple[str, str]], records: Mapping[str, bytes | None]
) -> TypeList:
    """Build the list from live servers by the keys of their records, the pairs of digest and key, and the records.

    A record that is missing or not valid makes its servers `unpublished`.
    """
    read = {digest: _read(data) for digest, data in records.items()}
    serving: dict[str, list[ServerSnapshot]] = {}
    for digest, key in sorted(listed):
        if key in servers and read.get(digest) is not None:
            serving.setdefault(digest, []).append(servers[key])
    versions: dict[str, list[tuple[TypeRecord, Matching, list[ServerSnapshot]]]] = {}
    omitted = 0
    for digest, found in serving.items():
        record = read[digest] or TypeRecords(())
        omitted = max(omitted, record.omitted)
        for each in record.types:
            _add(versions.setdefault(each.type, []), each, record.matching, found)
    known = {server.id for found in serving.values() for server in found}
    unpublished = sorted(server.id for server in servers.values() if server.id not in known)
    return TypeList(tuple(_snapshot(name, versions[name]) for name in sorted(versions)), tuple(unpublished), omitted)


def _handles(version: TypeVersion, matching: Matching, servers: Collection[str] | None) -> bool:
    return version.matching == matching and (servers is None or not set(version.servers).isdisjoint(servers))


def _read(data: bytes | None) -> TypeRecords | None:
    try:
        return None if data is None else unpack(data)
    except PayloadError:
        return None


def _add(
    versions: list[tuple[TypeRecord, Matching, list[ServerSnapshot]]],
    record: TypeRecord,
    matching: Matching,
    servers: list[ServerSnapshot],
) -> None:
    # Two builds of an app have different digests, but most of their types are the same.
    for other, how, found in versions:
        if other == record and how == matching:
            found.extend(servers)
            return
    versions.append((record, matching, list(servers)))


def _snapshot(name: str, versions: list[tuple[TypeRecord, Matching, list[ServerSnapshot]]]) -> TypeSnapshot:
    made = [_version(record, matching, servers) for record, matching, servers in versions]
    queues = {queue for _, _, servers in versions for server in servers for queue in server.queues}
    made.sort(key=lambda version: (-len(version.servers), version.servers))
    return TypeSnapshot(name, tuple(sorted(queues)), tuple(made))


def _version(record: TypeRecord, matching: Matching, servers: list[ServerSnapshot]) -> TypeVersion:
    values: dict[str, Any] = {each.name: getattr(record, each.name) for each in fields(record)}
    return TypeVersion(**values, matching=matching, servers=tuple(sorted({server.id for server in servers})))
