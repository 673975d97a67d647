"""Clients that enqueue and change tasks and wait for them, from asyncio code and from blocking code."""

from typing import TYPE_CHECKING

from rota.core.on_demand import on_demand

if TYPE_CHECKING:
    from rota.client.asynchronous import Client
    from rota.client.blocking import SyncClient
    from rota.client.delivery import Delivery
else:  # a program loads the client that it uses
    __getattr__, __dir__ = on_demand(
        __name__, {"asynchronous": ("Client",), "blocking": ("SyncClient",), "delivery": ("Delivery",)}
    )

__all__ = ["Client", "Delivery", "SyncClient"]
