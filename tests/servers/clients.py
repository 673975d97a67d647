"""An administrator's clients, wherever a URL leads: what a test looks with, and puts things there with."""

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.cluster import ClusterNode, RedisCluster

from rota.broker.url import Address, parse
from tests.servers.roles import as_admin


def client(url: str, **options: Any) -> Any:
    return as_told(as_admin(url), **options)


def as_told(url: str, **options: Any) -> Any:
    """The same as the user of the URL, whoever that is."""
    address = parse(url)
    if address.mode == "cluster":
        return RedisCluster(startup_nodes=[ClusterNode(each.host, each.port) for each in address.endpoints], **options)
    return redis.Redis.from_url(url if address.mode == "single" else _one_server(url, address), **options)


def async_client(url: str, **options: Any) -> Any:
    address = parse(as_admin(url))
    if address.mode == "cluster":
        nodes = [AsyncClusterNode(each.host, each.port) for each in address.endpoints]
        return redis.asyncio.RedisCluster(startup_nodes=nodes, **options)
    return redis.asyncio.Redis.from_url(_one_server(url, address), **options)


def _one_server(url: str, address: Address) -> str:
    if address.mode == "single":
        return as_admin(url)
    with redis.Redis(address.endpoints[0].host, address.endpoints[0].port, decode_responses=True) as sentinel:
        host, port = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.master)
    return f"redis://{host}:{port}/{address.database}"
