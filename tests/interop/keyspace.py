"""The whole content of a database, in a form in which two of them can be compared."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from rota.wire.message import unpack

ROUNDING_S = 2


@dataclass(frozen=True)
class Instant:
    """A Unix time or a time to live, in seconds, of a run that took place between `since` and `until`.

    It equals one of another run if the two are no further apart than the runs: both are as far from their run then, or
    both were given.
    """

    seconds: float = field(compare=False)
    since: float = field(compare=False)
    until: float = field(compare=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instant):
            return False
        apart = max(self.until, other.until) - min(self.since, other.since)
        return abs(self.seconds - other.seconds) <= apart + ROUNDING_S

    __hash__ = None  # type: ignore[assignment]


async def keyspace(redis: Redis, since: float) -> dict[str, Any]:
    """Read every key: its value with messages decoded, and when it expires. `since` is when the run began."""
    found: dict[str, Any] = {}

    def instant(seconds: float) -> Instant:
        return Instant(seconds, since, time.time())

    async for raw in redis.scan_iter(count=1000):
        key = raw.decode()
        value, ttl = await asyncio.gather(_value(redis, key, instant), redis.ttl(key))
        found[key] = (value, None if ttl < 0 else instant(time.time() + ttl))
    return found


async def _value(redis: Redis, key: str, instant: Callable[[float], Instant]) -> Any:
    kind = (await redis.type(key)).decode()
    match kind:
        case "string":
            return await redis.get(key)
        case "set":
            return await redis.smembers(key)
        case "list":
            return await redis.lrange(key, 0, -1)
        case "zset":
            return [(member, instant(score)) for member, score in await redis.zrange(key, 0, -1, withscores=True)]
        case "hash":
            return dict(_field(*item, instant) for item in (await redis.hgetall(key)).items())
        case _:
            raise AssertionError(f"{key} is a {kind}: Asynq has no such keys")


def _field(raw: bytes, value: bytes, instant: Callable[[float], Instant]) -> tuple[str, Any]:
    name = raw.decode()
    if name == "msg":
        message = unpack(value)
        stored = {descriptor.name: found for descriptor, found in message.ListFields()}
        for time_field in ("last_failed_at", "completed_at"):
            if time_field in stored:
                stored[time_field] = instant(stored[time_field])
        if "headers" in stored:
            stored["headers"] = dict(stored["headers"])
        return name, stored
    return name, instant(int(value) / 1e9) if name == "pending_since" else value


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
