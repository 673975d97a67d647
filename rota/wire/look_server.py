"""Looking at servers. Nothing here writes; a long list is read in pages."""

from collections.abc import Sequence
from typing import NamedTuple

from rota.wire.keys import Keys
from rota.wire.look_queue import MAX_PAGE, text
from rota.wire.script import Call, load


class ServerLook(NamedTuple):
    """The record of a server (None if it has just expired), and those of what it runs."""

    server: bytes | None
    running: Sequence[bytes]


def servers(keys: Keys, start: int, count: int = MAX_PAGE) -> Call[list[str]]:
    """Look up the keys of the servers that live."""
    return Call(load("look_servers"), (keys.servers,), (start, count), lambda reply: [text(key) for key in reply])


def server(keys: Keys, record: str) -> Call[ServerLook]:
    """Look at one server by the key of its record, as `servers` lists it."""
    running = keys.workers + record.removeprefix(keys.servers)
    return Call(load("look_server"), (record, running), (), lambda reply: ServerLook(reply[0], reply[1]))
