"""The whole content of a database, in a form in which two of them can be compared."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from rota.wire.message import unpack

TOLERANCE_S = 3


@dataclass(frozen=True)
class Instant:
    """A Unix time or a time to live, in seconds, that equals another one of about the same moment."""

    seconds: float = field(compare=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instant) and abs(self.seconds - other.seconds) <= TOLERANCE_S

    __hash__ = None  # type: ignore[assignment]


async def keyspace(redis: Redis) -> dict[str, Any]:
    """Read every key: its value with messages decoded, and when it expires."""
    found: dict[str, Any] = {}
    async for raw in redis.scan_iter(count=1000):
        key = raw.decode()
        value, ttl = await asyncio.gather(_value(redis, key), redis.ttl(key))
        found[key] = (value, None if ttl < 0 else Instant(time.time() + ttl))
    return found


async def _value(redis: Redis, key: str) -> Any:
    kind = (await redis.type(key)).decode()
    match kind:
        case "string":
            return await redis.get(key)
        case "set":
            return await redis.smembers(key)
        case "list":
            return await redis.lrange(key, 0, -1)
        case "zset":
            return [(member, Instant(score)) for member, score in await redis.zrange(key, 0, -1, withscores=True)]
        case "hash":
            return dict(map(_field, (await redis.hgetall(key)).items()))
        case _:
            raise AssertionError(f"{key} is a {kind}: Asynq has no such keys")


def _field(item: tuple[bytes, bytes]) -> tuple[str, Any]:
    name, value = item[0].decode(), item[1]
    if name == "msg":
        message = unpack(value)
        stored = {descriptor.name: found for descriptor, found in message.ListFields()}
        for time_field in ("last_failed_at", "completed_at"):
            if time_field in stored:
                stored[time_field] = Instant(stored[time_field])
        if "headers" in stored:
            stored["headers"] = dict(stored["headers"])
        return name, stored
    return name, Instant(int(value) / 1e9) if name == "pending_since" else value


def split_own(space: dict[str, Any]) -> tuple[dict[str, Any], dict[str, set[str]]]:
    """Take out what only Rota writes (`rota_…` fields, `rota:…` keys); return the rest, and what was taken."""
    rest: dict[str, Any] = {}
    own: dict[str, set[str]] = {}
    for key, (value, expires) in space.items():
        if key.startswith("rota:"):
            own[key] = set()
            continue
        if isinstance(value, dict):
            own[key] = {name for name in value if name.startswith("rota_")}
            value = {name: each for name, each in value.items() if name not in own[key]}
        rest[key] = (value, expires)
    return rest, own
