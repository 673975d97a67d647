"""Enqueue, change and await tasks, from asyncio code and from blocking code, over the same pure core."""

from rota.client.asynchronous import Client
from rota.client.blocking import SyncClient
from rota.client.delivery import Delivery

__all__ = ["Client", "Delivery", "SyncClient"]
