"""The wire over connections: one server, Sentinel or Cluster; async and sync; an embedded server."""

from rota.broker.broker import Broker
from rota.broker.embedded import Embedded
from rota.broker.facts import ServerFacts
from rota.broker.link import Link
from rota.broker.options import TLS, BrokerOptions
from rota.broker.subscription import Subscription
from rota.broker.sync import SyncBroker, SyncSubscription
from rota.broker.url import Address, Endpoint

__all__ = [
    "TLS",
    "Address",
    "Broker",
    "BrokerOptions",
    "Embedded",
    "Endpoint",
    "Link",
    "ServerFacts",
    "Subscription",
    "SyncBroker",
    "SyncSubscription",
]
