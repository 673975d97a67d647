"""The connections of an app: one client for each event loop that uses it, and one for blocking code.

`Connections` makes and closes the clients. `Connected` has the methods of an app that give them.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from rota.errors import RotaError
from rota.settings.setting_groups import BrokerSettings, EnqueueSettings
from rota.settings.settings import Settings
from rota.tasks.middleware import EnqueueMiddleware
from rota.wire.keys import Keys

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.broker_options import BrokerOptions
    from rota.client.asynchronous import Client
    from rota.client.blocking import SyncClient
    from rota.client.delivery import Delivery


def broker_options(settings: BrokerSettings) -> "BrokerOptions":
    """Return the connection options from the settings."""
    from rota.broker.broker_options import TLS, BrokerOptions

    password, sentinel_password = settings.password, settings.sentinel_password
    return BrokerOptions(
        tls=TLS(
            ca=settings.tls_ca,
            cert=settings.tls_cert,
            key=settings.tls_key,
            verify=settings.tls_verify,
            server_name=settings.tls_server_name,
        ),
        username=settings.username,
        password=None if password is None else password.get_secret_value(),
        sentinel_username=settings.sentinel_username,
        sentinel_password=None if sentinel_password is None else sentinel_password.get_secret_value(),
        key_prefix=settings.key_prefix,
        client_name=settings.client_name,
        connect_timeout=settings.connect_timeout,
        response_timeout=settings.response_timeout,
        retry_for=settings.retry_for,
    )


def delivery(settings: EnqueueSettings) -> "Delivery":
    """Return the delivery options from the settings."""
    from rota.client.delivery import Delivery

    return Delivery(
        when_away=settings.when_away,
        wait_replicas=settings.wait_replicas,
        wait_replicas_timeout=settings.wait_replicas_timeout,
        replicas_missing=settings.replicas_missing,
    )


class Connections:
    """Creates each client at its first use, and closes it.

    A connection belongs to the event loop that opened it, so each loop has its own client. The client is closed when
    the loop shuts down its generators, as `asyncio.run` does at its end. If a loop is closed without that, its client
    is closed when the next loop asks for one. The modules of both clients are imported at their first use, because most
    programs use only one of them.
    """

    def __init__(self, middlewares: Sequence[EnqueueMiddleware]) -> None:
        self._middlewares = middlewares
        self._clients: dict[asyncio.AbstractEventLoop, tuple[Client, AsyncGenerator[None]]] = {}
        self._latest: tuple[asyncio.AbstractEventLoop, Client] | None = None
        self._sync_client: SyncClient | None = None
        self._lock = threading.Lock()
        self._keys = Keys()

    def keys(self, settings: Settings) -> Keys:
        """The keys. They are kept, because they cache the keys of each queue."""
        if self._keys.prefix != settings.broker.key_prefix:
            self._keys = Keys(settings.broker.key_prefix)
        return self._keys

    def client(self, settings: Settings) -> "Client":
        """The client of the running loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RotaError(
                "No event loop runs here, and each client for asyncio belongs to one: use the methods for blocking "
                "code, which end in _sync, or do this in a coroutine."
            ) from None
        latest = self._latest
        if latest is not None and latest[0] is loop:
            return latest[1]
        known = self._clients.get(loop)
        client = self._open(loop, settings) if known is None else known[0]
        self._latest = loop, client
        return client

    def _open(self, loop: asyncio.AbstractEventLoop, settings: Settings) -> "Client":
        from rota.broker.broker import Broker
        from rota.broker.closed_loops import close_connections_of_closed_loops
        from rota.client.asynchronous import Client

        for other in list(self._clients):  # a copy, because other threads add and remove loops meanwhile
            if other.is_closed():
                self._clients.pop(other, None)
        close_connections_of_closed_loops()
        client = Client(
            Broker.from_url(settings.broker.url, options=broker_options(settings.broker)),
            **self._words(settings),
        )
        # At shutdown an event loop closes every asynchronous generator that has made its first step. So this generator
        # is started here, and its `finally` closes the client.
        closing = self._closing(loop, client)
        try:
            _begin(closing)
        except ResourceWarning:  # raised if warnings are errors, and this loop has already shut down its generators
            _begin(closing)
        self._clients[loop] = client, closing
        return client

    async def _closing(self, loop: asyncio.AbstractEventLoop, client: "Client") -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._clients.pop(loop, None)
            self._latest = None
            await client.aclose()

    def sync_client(self, settings: Settings) -> "SyncClient":
        """The client that all threads share."""
        from rota.broker.sync import SyncBroker
        from rota.client.blocking import SyncClient

        with self._lock:
            if self._sync_client is None:
                broker = SyncBroker.from_url(settings.broker.url, options=broker_options(settings.broker))
                self._sync_client = SyncClient(broker, **self._words(settings))
            return self._sync_client

    def _words(self, settings: Settings) -> dict[str, Any]:
        """Return the arguments that both kinds of client have in common."""
        return {
            "middlewares": self._middlewares,
            "result_poll": settings.results.result_poll,
            "enqueue_batch": settings.enqueue.enqueue_batch,
            "delivery": delivery(settings.enqueue),
            "payload_limit_bytes": settings.enqueue.payload_limit_bytes,
        }

    async def aclose(self) -> None:
        """Close the running loop's client."""
        known = self._clients.get(asyncio.get_running_loop())
        if known is not None:
            await known[1].aclose()

    def close_all(self) -> None:
        """Close the blocking client and the client of each event loop. For code that may stand outside of these loops.

        A client whose loop runs is closed by that loop soon, and a client whose loop is closed has lost its sockets.
        """
        self.close()
        for loop, (_, closing) in list(self._clients.items()):
            if loop.is_closed():
                self._clients.pop(loop, None)
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(closing.aclose(), loop)
            elif not _in_loop():
                loop.run_until_complete(closing.aclose())

    def close(self) -> None:
        """Close the blocking client."""
        with self._lock:
            client, self._sync_client = self._sync_client, None
        if client is not None:
            client.close()


class Connected:
    """The connections of an app, as its methods give them."""

    settings: Settings
    _connections: Connections

    @property
    def broker_options(self) -> "BrokerOptions":
        """The options of a connection, from the settings."""
        return broker_options(self.settings.broker)

    @property
    def keys(self) -> Keys:
        """The Redis keys of this app."""
        return self._connections.keys(self.settings)

    def connect(self, settings: Settings | None = None) -> "Broker":
        """Make a separate broker, for example for an `Inspector`. It connects at first use. Close it with `aclose`."""
        from rota.broker.broker import Broker

        chosen = settings or self.settings
        return Broker.from_url(chosen.broker.url, options=broker_options(chosen.broker))

    @property
    def client(self) -> "Client":
        """The client of the running event loop. The first access makes it."""
        return self._connections.client(self.settings)

    @property
    def sync_client(self) -> "SyncClient":
        """The client for blocking code. Threads can share it."""
        return self._connections.sync_client(self.settings)

    async def aclose(self) -> None:
        """Close the connections of the running event loop.

        Connections of other loops and of blocking code stay open.
        """
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        """Begin a block at whose end the connections of the running event loop are closed."""
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        """Begin a block at whose end the blocking connections are closed."""
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of blocking code."""
        self._connections.close()


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _begin(generator: AsyncGenerator[None]) -> None:
    with suppress(StopIteration):
        generator.asend(None).send(None)
