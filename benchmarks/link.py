"""Why `rota.broker.Link` reads its socket itself: one script call with a reply of 50 items, by each way, in one run.

python -m benchmarks.link
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable

import hiredis
import redis
import redis.asyncio
import uvloop

from benchmarks.server import Server
from rota.broker import Broker
from rota.wire.script import Call, Script

SOURCE = b"return redis.call('LRANGE', KEYS[1], 0, -1)"
SCRIPT = Script("bench", SOURCE, hashlib.sha1(SOURCE, usedforsecurity=False).hexdigest())
ROUNDS = 10_000


async def measure(name: str, once: Callable[[], Awaitable[object]], rounds: int = ROUNDS, per_round: int = 1) -> None:
    await once()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        await once()
    report(name, wall, cpu, rounds * per_round)


def measure_sync(name: str, once: Callable[[], object]) -> None:
    once()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(ROUNDS):
        once()
    report(name, wall, cpu, ROUNDS)


def report(name: str, wall_start: float, cpu_start: float, done: int) -> None:
    wall, cpu = time.perf_counter() - wall_start, time.process_time() - cpu_start
    print(f"{name:44} {wall / done * 1e6:8.1f} {cpu / done * 1e6:8.1f}")


async def by_redis_py(port: int) -> None:
    client = redis.asyncio.Redis(port=port, protocol=3)
    await measure("redis-py client, EVALSHA", lambda: client.evalsha(SCRIPT.sha, 1, "bench"))
    connection = await client.connection_pool.get_connection()

    async def once() -> object:
        packed = hiredis.pack_command(("EVALSHA", SCRIPT.sha, 1, "bench"))
        await connection.send_packed_command(packed, check_health=False)
        return await connection.read_response(disable_decoding=True, timeout=math.inf)

    await measure("redis-py connection, packed by hiredis", once)
    await client.connection_pool.release(connection)
    await client.aclose()


async def main(port: int) -> None:
    call = Call(SCRIPT, ["bench"], (), len)
    async with Broker.from_url(f"redis://127.0.0.1:{port}") as broker:
        await broker.execute("RPUSH", "bench", *range(50))
        print(f"{'one call, 50 items in the reply':44} {'wall us':>8} {'CPU us':>8}")
        await measure("Link", lambda: broker.run(call))
        await measure(
            "Link, 50 callers at once",
            lambda: asyncio.gather(*(broker.run(call) for _ in range(50))),
            ROUNDS // 50,
            50,
        )
        await measure("Link, run_many of 50", lambda: broker.run_many([call] * 50), ROUNDS // 50, 50)
        await by_redis_py(port)
        with broker.sync() as sync, redis.Redis(port=port) as client:
            measure_sync("SyncBroker", lambda: sync.run(call))
            measure_sync("redis-py sync client, EVALSHA", lambda: client.evalsha(SCRIPT.sha, 1, "bench"))


if __name__ == "__main__":
    with Server("redis") as server:
        uvloop.run(main(server.port))
