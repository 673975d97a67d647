"""The wire over connections: one server, Sentinel or Cluster; async and sync; an embedded server."""

from typing import TYPE_CHECKING

from rota.core.on_demand import on_demand

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.broker_options import TLS, BrokerOptions
    from rota.broker.embedded import Embedded
    from rota.broker.link import Link
    from rota.broker.server_info import ServerInfo
    from rota.broker.subscription import Subscription
    from rota.broker.sync import SyncBroker, SyncSubscription
    from rota.broker.url import Address, Endpoint
else:  # loaded on first use, because a program that only enqueues needs just one of the two brokers
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "broker": ("Broker",),
            "embedded": ("Embedded",),
            "server_info": ("ServerInfo",),
            "link": ("Link",),
            "broker_options": ("TLS", "BrokerOptions"),
            "subscription": ("Subscription",),
            "sync": ("SyncBroker", "SyncSubscription"),
            "url": ("Address", "Endpoint"),
        },
    )

__all__ = [
    "TLS",
    "Address",
    "Broker",
    "BrokerOptions",
    "Embedded",
    "Endpoint",
    "Link",
    "ServerInfo",
    "Subscription",
    "SyncBroker",
    "SyncSubscription",
]
