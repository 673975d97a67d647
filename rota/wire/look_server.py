"""Reads the records of servers, of Rota and Asynq, and the lists of them, page by page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rota.wire.keys import Keys
from rota.wire.look_task import MAX_PAGE, text
from rota.wire.script import Call, load


class ServerLook(NamedTuple):
    """The record of a server (None if it has just expired), and the records of its running tasks."""

    server: bytes | None
    running: Sequence[bytes]


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
    running = keys.workers + record.removeprefix(keys.servers)
    return Call(load("look_server"), (record, running), (), lambda reply: ServerLook(reply[0], reply[1]))
