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
    place = parse(url)
    if place.mode == "cluster":
        return RedisCluster(startup_nodes=[ClusterNode(each.host, each.port) for each in place.endpoints], **options)
    return redis.Redis.from_url(url if place.mode == "single" else _one_server(url, place), **options)


def async_client(url: str, **options: Any) -> Any:
    place = parse(as_admin(url))
    if place.mode == "cluster":
        nodes = [AsyncClusterNode(each.host, each.port) for each in place.endpoints]
        return redis.asyncio.RedisCluster(startup_nodes=nodes, **options)
    return redis.asyncio.Redis.from_url(_one_server(url, place), **options)


def _one_server(url: str, place: Address) -> str:
    if place.mode == "single":
        return as_admin(url)
    with redis.Redis(place.endpoints[0].host, place.endpoints[0].port, decode_responses=True) as sentinel:
        host, port = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", place.master)
    return f"redis://{host}:{port}/{place.database}"
