"""The connections of an app: one client for each event loop that asks, and one for blocking code."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rota.settings.settings import Settings
from rota.tasks.middleware import EnqueueMiddleware
from rota.wire.keys import Keys

if TYPE_CHECKING:
    from rota.broker.options import BrokerOptions
    from rota.client.asynchronous import Client
    from rota.client.blocking import SyncClient
    from rota.client.delivery import Delivery


def broker_options(settings: Settings) -> "BrokerOptions":
    """Read from the settings how to connect."""
    from rota.broker.options import TLS, BrokerOptions

    password, sentinel_password = settings.password, settings.sentinel_password
    return BrokerOptions(
        tls=TLS(ca=settings.tls_ca, cert=settings.tls_cert, key=settings.tls_key, verify=settings.tls_verify),
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


def delivery(settings: Settings) -> "Delivery":
    """Read from the settings how tasks are delivered."""
    from rota.client.delivery import Delivery

    return Delivery(
        when_away=settings.when_away,
        wait_replicas=settings.wait_replicas,
        wait_replicas_timeout=settings.wait_replicas_timeout,
        replicas_missing=settings.replicas_missing,
    )


class Connections:
    """Makes clients when they are first asked for, and closes them.

    A connection belongs to the event loop that opened it, so each loop has a client of its own. It is closed when the
    loop shuts down, as `asyncio.run` does at its end. A loop that is closed without that leaves its client behind: such
    clients are closed when the next loop asks for one. The client for blocking code and that for event loops are loaded
    when they are first asked for: most programs need one of the two.
    """

    def __init__(self, middlewares: Sequence[EnqueueMiddleware]) -> None:
        self._middlewares = middlewares
        self._clients: dict[asyncio.AbstractEventLoop, tuple[Client, AsyncGenerator[None]]] = {}
        self._latest: tuple[asyncio.AbstractEventLoop, Client] | None = None
        self._sync_client: SyncClient | None = None
        self._lock = threading.Lock()
        self._keys = Keys()

    def keys(self, settings: Settings) -> Keys:
        """The keys, remembered, because each queue's are built once."""
        if self._keys.prefix != settings.key_prefix:
            self._keys = Keys(settings.key_prefix)
        return self._keys

    def client(self, settings: Settings) -> "Client":
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
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

        for other in list(self._clients):  # a copy: loops of other threads come and go meanwhile
            if other.is_closed():
                self._clients.pop(other, None)
        close_connections_of_closed_loops()
        client = Client(
            Broker.from_url(settings.url, options=broker_options(settings)),
            **self._words(settings),
        )
        # An event loop closes its asynchronous generators when it shuts down, from the first step of each on.
        closing = self._closing(loop, client)
        try:
            _begin(closing)
        except ResourceWarning:  # made an error: this loop has shut down its generators before, but goes on
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
        """The one client of all threads."""
        from rota.broker.sync import SyncBroker
        from rota.client.blocking import SyncClient

        with self._lock:
            if self._sync_client is None:
                broker = SyncBroker.from_url(settings.url, options=broker_options(settings))
                self._sync_client = SyncClient(broker, **self._words(settings))
            return self._sync_client

    def _words(self, settings: Settings) -> dict[str, Any]:
        """Return what both kinds of client are made with."""
        return {
            "middlewares": self._middlewares,
            "result_poll": settings.result_poll,
            "enqueue_batch": settings.enqueue_batch,
            "delivery": delivery(settings),
            "payload_limit_bytes": settings.payload_limit_bytes,
        }

    async def aclose(self) -> None:
        """Close the running loop's client."""
        known = self._clients.get(asyncio.get_running_loop())
        if known is not None:
            await known[1].aclose()

    def close(self) -> None:
        """Close the blocking client."""
        with self._lock:
            client, self._sync_client = self._sync_client, None
        if client is not None:
            client.close()


def _begin(generator: AsyncGenerator[None]) -> None:
    with suppress(StopIteration):
        generator.asend(None).send(None)
