"""What can happen to a server. Each is a context: within it the server is out of order, after it all is well again."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import redis

from tests.servers.process import Server

Outage = Callable[[Server], AbstractContextManager[None]]

WORKER = "worker:secret"
"""The user whose rights `no_rights` takes away."""
GRANT = "on >secret ~* &* +@all"


@contextmanager
def restart(server: Server) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def silence(server: Server) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@contextmanager
def kill_clients(server: Server) -> Iterator[None]:
    with server.admin() as client:
        _disconnect(client)
    yield


@contextmanager
def three_disconnects(server: Server) -> Iterator[None]:
    with server.admin() as client:
        for pause in (0.9, 0.9, 0):
            _disconnect(client)
            time.sleep(pause)
    yield


@contextmanager
def idle_sockets_closed(server: Server) -> Iterator[None]:
    with _configured(server, timeout=1):
        yield


@contextmanager
def out_of_memory(server: Server) -> Iterator[None]:
    with _configured(server, maxmemory=1):
        yield


@contextmanager
def too_many_clients(server: Server) -> Iterator[None]:
    with _configured(server, maxclients=1) as client:
        _disconnect(client)
        yield


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    with server.admin() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            yield
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def no_rights(server: Server) -> Iterator[None]:
    with server.admin() as client:
        client.execute_command("ACL", "SETUSER", "worker", "-eval", "-evalsha", "-script")
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", "worker", *GRANT.split())


@contextmanager
def scripts_forgotten(server: Server) -> Iterator[None]:
    with server.admin() as client:
        client.script_flush()
    yield


ALL: tuple[Outage, ...] = (
    restart, silence, kill_clients, three_disconnects, idle_sockets_closed, out_of_memory, too_many_clients, read_only,
    no_rights, scripts_forgotten,
)  # fmt: skip
AT_ONCE = (kill_clients, three_disconnects, scripts_forgotten)
"""Those that are over as soon as they have happened."""
ANSWERS = (
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "ERR max requests limit exceeded. Limit: 500000, Usage: 500001.",
)
"""What a proxy answers in place of the server."""


def name(outage: Outage) -> str:
    """Its name for a report."""
    return outage.__name__.replace("_", " ")  # type: ignore[attr-defined]


def _disconnect(client: redis.Redis) -> None:
    for kind in ("normal", "pubsub"):
        client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


@contextmanager
def _configured(server: Server, **config: int) -> Iterator[redis.Redis]:
    # One connection for both: afterwards there may be none to be had.
    with server.admin() as client:
        before = {each: client.config_get(each)[each] for each in config}
        for each, value in config.items():
            client.config_set(each, value)
        try:
            yield client
        finally:
            for each, value in before.items():
                client.config_set(each, value)
