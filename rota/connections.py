"""The connections of an app: one client for each event loop that asks, and one for blocking code."""

import asyncio
import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from rota.broker.broker import Broker
from rota.broker.options import TLS, BrokerOptions
from rota.broker.sync import SyncBroker
from rota.client import Client, Delivery, SyncClient
from rota.middleware import EnqueueMiddleware
from rota.settings import Settings
from rota.wire.keys import Keys


def broker_options(settings: Settings) -> BrokerOptions:
    """Read from the settings how to connect."""
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


def delivery(settings: Settings) -> Delivery:
    """Read from the settings how tasks are delivered."""
    return Delivery(
        when_away=settings.when_away,
        buffer_max=settings.buffer_max,
        flush_timeout=settings.flush_timeout,
        wait_replicas=settings.wait_replicas,
        wait_replicas_timeout=settings.wait_replicas_timeout,
        replicas_missing=settings.replicas_missing,
    )


class Connections:
    """Makes clients when they are first asked for, and closes them."""

    def __init__(self, middlewares: Sequence[EnqueueMiddleware]) -> None:
        self._middlewares = middlewares
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = WeakKeyDictionary()
        self._sync_client: SyncClient | None = None
        self._lock = threading.Lock()
        self._keys = Keys()

    def keys(self, settings: Settings) -> Keys:
        """The keys, remembered, because each queue's are built once."""
        if self._keys.prefix != settings.key_prefix:
            self._keys = Keys(settings.key_prefix)
        return self._keys

    def client(self, settings: Settings) -> Client:
        """The client of the running loop. A connection belongs to the loop that opened it."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            broker = Broker.from_url(settings.url, options=broker_options(settings))
            client = self._clients[loop] = Client(
                broker,
                middlewares=self._middlewares,
                result_poll=settings.result_poll,
                enqueue_batch=settings.enqueue_batch,
                delivery=delivery(settings),
                payload_limit_bytes=settings.payload_limit_bytes,
            )
        return client

    def sync_client(self, settings: Settings) -> SyncClient:
        """The one client of all threads."""
        with self._lock:
            if self._sync_client is None:
                broker = SyncBroker.from_url(settings.url, options=broker_options(settings))
                self._sync_client = SyncClient(
                    broker,
                    middlewares=self._middlewares,
                    result_poll=settings.result_poll,
                    enqueue_batch=settings.enqueue_batch,
                    delivery=delivery(settings),
                    payload_limit_bytes=settings.payload_limit_bytes,
                )
            return self._sync_client

    async def aclose(self) -> None:
        """Close the running loop's client, and the blocking one."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        self.close()

    def close(self) -> None:
        """Close the blocking client."""
        with self._lock:
            client, self._sync_client = self._sync_client, None
        if client is not None:
            client.close()
