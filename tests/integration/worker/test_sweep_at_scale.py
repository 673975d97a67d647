"""Many queues, many workers, much at once: requests stay few, scripts short, and nothing moves twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TypeVar

import pytest

from rota.broker import Broker
from rota.tasks.policy import Retry
from rota.wire.outcome import Held, extend
from rota.wire.script import Call
from rota.wire.sweep import trimmed_key
from rota.worker.housekeeping.recoverer import Recoverer, as_failure
from tests.integration.worker.sweeping import LIMITS, Broom
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard
from tests.servers.process import Server

T = TypeVar("T")

FLEET = 20
QUEUES = [f"queue-{number}" for number in range(500)]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that nobody else asks anything."""
    server = Server().start()
    yield server
    server.stop()


@pytest.fixture
async def yard(server: Server) -> AsyncIterator[Yard]:
    async with open_yard(server.unix_url) as yard:
        yield yard


async def requests(yard: Yard) -> int:
    """Requests so far, but for those of this function."""
    stats = (await yard.execute("INFO", "commandstats")).decode()
    asked = [line.split(":")[1] for line in stats.split() if line.startswith(("cmdstat_evalsha:", "cmdstat_scan:"))]
    return sum(int(fields.partition("calls=")[2].split(",")[0]) for fields in asked)


async def test_a_fleet_of_20_workers_on_500_idle_queues_asks_28_times_for_each_sweep(server: Server) -> None:
    async with AsyncExitStack() as stack:
        yards = [await stack.enter_async_context(open_yard(server.unix_url)) for _ in range(FLEET)]
        brooms = [Broom(yard.broker, QUEUES, f"worker-{number}") for number, yard in enumerate(yards)]
        for broom in brooms:
            await broom.sweep()  # the first time scripts are loaded
        before = await requests(yards[0])
        for broom in brooms:
            await broom.sweep()
        # 500 queues are looked at by 8 calls of one worker; 19 others ask whose turn it is.
        assert await requests(yards[0]) - before == 8 + 19
        assert [broom.swept for broom in brooms] == [2] + [0] * 19


async def test_a_sweep_compares_only_queues_whose_leases_and_active_tasks_differ_in_number(yard: Yard) -> None:
    broom = Broom(yard.broker, QUEUES)
    now = await yard.now()
    for queue in QUEUES:
        yard.keys = yard.broker.keys.queue(queue)
        await yard.put("kept", "archived", now)
    await broom.sweep()
    before = await requests(yard)
    await broom.sweep()
    assert await requests(yard) - before == 8
    for queue in QUEUES[3], QUEUES[7]:  # the first time scripts are loaded
        yard.keys = yard.broker.keys.queue(queue)
        await yard.put("unleased", "active")
        before = await requests(yard)
        await broom.sweep()
        found = await requests(yard)
        await broom.sweep()
    assert (found - before, await requests(yard) - found) == (8 + 1, 8 + 1 + 1)
    assert await yard.members(yard.keys.lease) == ["unleased"]


class Slow(Broker):
    """A broker behind a slow line. `listed` is called when a recoverer has its first list of the dead."""

    listed: Callable[[], Awaitable[object]] | None = None

    async def run(self, call: Call[T]) -> T:
        await asyncio.sleep(0.01)
        reply = await super().run(call)
        if call.script.name == "expired" and self.listed is not None:
            listed, self.listed = self.listed, None
            await listed()
        return reply


LEASES = """
for i = 1, 5000 do
  redis.call('HSET', KEYS[1] .. 't:' .. i, 'msg', ARGV[1], 'state', 'active', 'rota_token', 'w-' .. i)
  redis.call('LPUSH', KEYS[1] .. 'active', i)
  redis.call('ZADD', KEYS[1] .. 'lease', ARGV[2] + i % 1000, i)
end
for i = 1, 200 do
  redis.call('HSET', KEYS[1] .. 't:live' .. i, 'msg', ARGV[1], 'state', 'active', 'rota_token', 'live-' .. i)
  redis.call('LPUSH', KEYS[1] .. 'active', 'live' .. i)
  redis.call('ZADD', KEYS[1] .. 'lease', ARGV[3], 'live' .. i)
end"""


@pytest.mark.parametrize("whose", ["ours", "go"])
async def test_of_5000_dead_attempts_two_slow_recoverers_move_each_once_and_no_living_one(
    yard: Yard, server: Server, whose: str
) -> None:
    """Scenario 16. The living extend their leases only when they are on the lists of both recoverers."""
    half = 0.5 if whose == "ours" else 0
    old = int(await yard.now()) - 5000
    await yard.execute("EVAL", LEASES, 1, yard.keys.base, message("x"), old + half, old - 1 + half)
    held = [Held(f"live{number}", f"live-{number}") for number in range(1, 201)]

    both = asyncio.Barrier(2)

    async def listed() -> None:
        if await both.wait() == 0:
            await live_on()
        await both.wait()

    async def live_on() -> None:
        if whose == "ours":
            assert await yard.broker.run(extend(yard.keys, held, timedelta(seconds=30))) == ([], {})
        else:
            until = int(await yard.now()) + 30
            await yard.execute("ZADD", yard.keys.lease, "XX", *(word for item in held for word in (until, item.id)))

    judge = as_failure(lambda _: Retry(delay=timedelta(hours=1)))
    async with Slow.from_url(server.unix_url) as one, Slow.from_url(server.unix_url) as two:
        assert isinstance(one, Slow)
        assert isinstance(two, Slow)
        one.listed = two.listed = listed
        moved = await asyncio.gather(*(Recoverer(b, judge, limit=500).recover([QUEUE]) for b in (one, two)))
    assert sum(moved) == 5000
    assert sorted(await yard.members(yard.keys.active)) == sorted(item.id for item in held)
    assert len(await yard.members(yard.keys.lease)) == 200
    place, counter = (yard.keys.pending, yard.keys.crashed) if whose == "ours" else (yard.keys.retry, yard.keys.failed)
    assert len(set(await yard.members(place))) == len(await yard.members(place)) == 5000
    assert await yard.number("GET", counter) == 5000


SEED = """
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('HSET', KEYS[1] .. 't:' .. ARGV[3] .. i, 'msg', 'm', 'state', ARGV[3])
  redis.call('ZADD', KEYS[1] .. ARGV[3], i, ARGV[3] .. i)
end"""


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_100_000_due_tasks_and_50_000_old_ones_at_once_are_swept_in_short_scripts(
    yard: Yard, server: Server
) -> None:
    """Scenario 18, while two workers sweep and others go on asking."""
    for state, total in (("scheduled", 100_000), ("archived", 50_000)):
        for start in range(0, total, 10_000):
            await yard.execute("EVAL", SEED, 1, yard.keys.base, start + 1, start + 10_000, state)
    await yard.execute("CONFIG", "RESETSTAT")
    waits: list[float] = []

    async def others(asker: Broker) -> None:
        while True:
            began = time.monotonic()
            await asker.execute("PING")
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.002)

    async with Broker.from_url(server.unix_url) as second, Broker.from_url(server.unix_url) as asker:
        brooms = [
            Broom(yard.broker, [QUEUE], "a"),
            Broom(second, [QUEUE], "b", limits=LIMITS._replace(archive_size=999)),
        ]
        asking = asyncio.create_task(others(asker))
        await asyncio.gather(*(broom.sweep() for broom in brooms))
        asking.cancel()
        await asyncio.wait([asking])
    line = await yard.members(yard.keys.pending)
    # A batch moves its IDs in the order in which they were due.
    assert line[::-1] == [f"scheduled{number}" for number in range(1, 100_001)]
    assert await yard.names() & {yard.keys.scheduled, yard.keys.archived, yard.keys.retry} == set()
    assert await yard.number("GET", trimmed_key(yard.keys)) == 50_000
    assert await yard.number("DBSIZE") <= 100_000 + 10
    assert [broom.sweeper.statistics().refused for broom in brooms] == [0, 0]
    stats = (await yard.execute("INFO", "errorstats")).decode()
    assert [line for line in stats.split() if line.startswith("errorstat_") and "NOSCRIPT" not in line] == []
    assert sorted(waits)[len(waits) // 2] < 0.25
