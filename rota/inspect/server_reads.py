"""The reads of servers, of Rota and Asynq, of the types that they handle, and of the entries of schedulers."""

from collections.abc import Iterable

from rota.client.operations import operation
from rota.client.steps import Act, Command, together
from rota.inspect.face import Reads
from rota.inspect.scheduler_snapshot import (
    EnqueueEventSnapshot,
    SchedulerEntrySnapshot,
    read_entries,
    read_events,
)
from rota.inspect.server_snapshot import ServerSnapshot, read_server
from rota.inspect.task_reads import check_page
from rota.inspect.task_type import TypeList, read_types
from rota.wire import look_server
from rota.wire import scheduler_entry as look_entry
from rota.wire.keys import Keys

ENTRIES_AT_ONCE = 1000


class ServerReads(Reads):
    """Describes the reads of servers and schedulers."""

    @operation
    def servers(self) -> Act[list[ServerSnapshot]]:
        """Return the live servers of Rota and Asynq, sorted by host and process."""
        return (yield from live_servers(self._keys))

    @operation
    def scheduler_entries(self) -> Act[list[SchedulerEntrySnapshot]]:
        """Return the schedules that running schedulers of Rota and Asynq show, sorted by spec and ID."""
        found: list[SchedulerEntrySnapshot] = []
        start = 0
        while keys := (yield look_entry.schedulers(self._keys, start)):
            start += len(keys)
            for key in keys:
                found += yield from _entries(key)
        return sorted(found, key=lambda entry: (entry.spec, entry.id))

    @operation
    def enqueue_events(self, entry_id: str, *, page: int = 1, size: int = 30) -> Act[list[EnqueueEventSnapshot]]:
        """Return a page of the enqueues of one entry, the latest first; at most 1000 are kept."""
        check_page(page, size)
        return read_events((yield look_entry.history(self._keys, entry_id, (page - 1) * size, size)))

    @operation
    def types(self) -> Act[TypeList]:
        """Return the task types that live workers handle, as the workers publish them."""
        return (yield from published_types(self._keys))


def _entries(key: str) -> Act[Iterable[SchedulerEntrySnapshot]]:
    """Read the entries of one scheduler, page by page: it may have ten thousand."""
    found: dict[str, SchedulerEntrySnapshot] = {}  # the list may be written anew between two pages
    start = 0
    while records := (yield Command(("LRANGE", key, start, start + ENTRIES_AT_ONCE - 1), key)):
        found.update((entry.id, entry) for entry in read_entries(key, records))
        start += len(records)
    return found.values()


def live_servers(keys: Keys) -> Act[list[ServerSnapshot]]:
    """Read the live servers."""
    found: dict[str, ServerSnapshot] = {}
    start = 0
    while records := (yield look_server.servers(keys, start)):
        start += len(records)
        for seen in (yield from together([look_server.server(keys, record) for record in records])):
            if (snapshot := read_server(seen)) is not None:
                found[snapshot.id] = snapshot
    return sorted(found.values(), key=lambda server: (server.host, server.pid, server.id))


def published_types(keys: Keys, live: Iterable[ServerSnapshot] | None = None) -> Act[TypeList]:
    """Read the task types that live workers handle. `live` are the live servers, if they have been read already."""
    if live is None:
        live = yield from live_servers(keys)
    servers = {keys.server(each.host, each.pid, each.id): each for each in live}
    listed: set[tuple[str, str]] = set()
    start = 0
    while page := (yield look_server.servers_by_types(keys, start)):
        start += len(page)
        listed.update(page)
    records: dict[str, bytes | None] = {}
    for digest in {digest for digest, _ in listed}:  # one after the other, because a record may have a megabyte
        key = keys.published_types(digest)
        records[digest] = yield Command(("GET", key), key)
    return read_types(servers, listed, records)
