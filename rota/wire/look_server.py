"""Reads the records of servers, of Rota and Asynq, and the lists of them, page by page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rota.wire.keys import Keys
from rota.wire.look_task import MAX_PAGE, text
from rota.wire.script import Call, load
from rota.wire.worker_about import MOST_BYTES


class ServerLook(NamedTuple):
    """The records of a server (None if it has just expired), of its running tasks, and of itself (`WorkerAbout`)."""

    server: bytes | None
    running: Sequence[bytes]
    about: bytes | None = None


def servers(keys: Keys, start: int, count: int = MAX_PAGE) -> Call[list[str]]:
    """Read a page of the keys of servers. A server whose record is gone is dead."""
    return Call(load("look_servers"), (keys.servers,), (start, count), lambda reply: [text(key) for key in reply])


def servers_by_types(keys: Keys, start: int, count: int = MAX_PAGE) -> Call[list[tuple[str, str]]]:
    """Read a page of the list of published types: the digest of a record, and the key of a server that handles it."""

    def decode(reply: Any) -> list[tuple[str, str]]:
        pairs = [text(member).partition(" ") for member in reply]
        return [(digest, record) for digest, _, record in pairs]

    return Call(load("look_servers"), (keys.types,), (start, count), decode)


def server(keys: Keys, record: str) -> Call[ServerLook]:
    """Read one server by the key of its record, which `servers` returns."""
    name = record.removeprefix(keys.servers)
    script_keys = (record, keys.workers + name, keys.own(f"about{name}"))
    return Call(load("look_server"), script_keys, (MOST_BYTES,), lambda reply: ServerLook(*reply))
