"""What every kind of server gives through the async broker."""

import asyncio
from datetime import timedelta

import pytest

from rota.broker import Broker
from rota.errors import BrokerRefused
from tests.integration.broker.conftest import Way
from tests.integration.broker.scripts import PUSH, READ, call, script, unseen
from tests.servers.process import Server


async def test_a_script_runs_and_its_reply_is_decoded(broker: Broker, name: str) -> None:
    assert await broker.run(call(PUSH, name, "a", b"\xff", 3)) == 3
    assert await broker.run(call(READ, name, decode=tuple)) == (b"a", b"\xff", b"3")


async def test_a_script_that_the_server_does_not_hold_is_sent_along(broker: Broker, name: str) -> None:
    new = unseen("return 'new'")
    assert await broker.run(call(new, name)) == b"new"
    other = unseen("return 'other'")
    assert await broker.run_many([call(other, name), call(new, name), call(other, name)]) == [
        b"other",
        b"new",
        b"other",
    ]


async def test_what_is_sent_first_is_done_first_even_if_the_server_has_yet_to_get_its_script(
    broker: Broker, name: str
) -> None:
    await broker.run(call(PUSH, name, "0"))
    slow = unseen("return redis.call('RPUSH', KEYS[1], unpack(ARGV))")
    await asyncio.gather(broker.run(call(slow, name, "1")), broker.run(call(PUSH, name, "2")))
    other = unseen("return redis.call('RPUSH', KEYS[1], unpack(ARGV))")
    await broker.run_many([call(other, name, "3"), call(PUSH, name, "4"), call(other, name, "5")])
    assert await broker.run(call(READ, name)) == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_scripts_that_the_server_has_forgotten_are_sent_along_again(redis_server: Server, name: str) -> None:
    async with Broker.from_url(redis_server.url) as broker:
        for text in ("1", "2"):
            await broker.run(call(PUSH, name, text))
            with redis_server.admin() as admin:
                admin.script_flush()
        assert await broker.run_many([call(PUSH, name, "3"), call(PUSH, name, "4")]) == [3, 4]
        assert await broker.run(call(READ, name)) == [b"1", b"2", b"3", b"4"]


async def test_concurrent_calls_get_their_own_replies(broker: Broker) -> None:
    echo = script("return ARGV[1]")
    names = [f"{{q{i}}}" for i in range(200)]
    replies = await asyncio.gather(*(broker.run(call(echo, name, name)) for name in names))
    assert replies == [name.encode() for name in names]


async def test_many_calls_come_back_in_order_with_errors_as_values(broker: Broker) -> None:
    echo, fail = script("return ARGV[1]"), script("return redis.error_reply('ERR deliberate')")
    calls = [call(fail if i % 7 == 3 else echo, f"{{q{i}}}", i) for i in range(50)]
    results = await broker.run_many(calls)
    for i, result in enumerate(results):
        if i % 7 == 3:
            assert isinstance(result, BrokerRefused)
            assert "deliberate" in str(result)
        else:
            assert result == str(i).encode()


async def test_no_calls_give_no_results(broker: Broker) -> None:
    assert await broker.run_many([]) == []


async def test_an_error_of_a_script_is_raised_once(broker: Broker, name: str) -> None:
    with pytest.raises(BrokerRefused, match=r"refused EVAL(SHA)?: ERR deliberate"):
        await broker.run(call(script("return redis.error_reply('ERR deliberate')"), name))


async def test_plain_commands_give_raw_replies(broker: Broker, name: str) -> None:
    assert await broker.execute("SET", name, b"\x00\xff", key=name) == b"OK"
    assert await broker.execute("GET", name, key=name) == b"\x00\xff"
    assert await broker.execute("GET", name + "none", key=name) is None


async def test_a_cancelled_caller_does_not_disturb_the_others(broker: Broker, name: str) -> None:
    echo = script("return ARGV[1]")
    await broker.run(call(echo, name, 0))
    tasks = [asyncio.create_task(broker.run(call(echo, name, i))) for i in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [str(i).encode() for i in range(1, 20, 2)]
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])


async def test_large_values_pass_both_ways(broker: Broker, name: str) -> None:
    big = b"x" * 3_000_000
    echo = script("return ARGV[1]")
    assert await asyncio.gather(*(broker.run(call(echo, name, big)) for _ in range(4))) == [big] * 4


async def test_a_link_of_ones_own_leads_to_the_same_data(broker: Broker, name: str) -> None:
    await broker.run(call(PUSH, name, "a"))
    link = await broker.open_link(name)
    try:
        assert await link.run(call(READ, name)) == [b"a"]
        assert link.closed is False
    finally:
        await link.aclose()
    assert link.closed is True


async def test_pushes_reach_the_callback_of_a_link(broker: Broker, name: str) -> None:
    link = await broker.open_link(name)
    pushes: asyncio.Queue[list[object]] = asyncio.Queue()
    link.on_push = pushes.put_nowait
    try:
        await link.execute("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", name)
        await broker.run(call(PUSH, name, "a"))
        async with asyncio.timeout(30):
            assert await pushes.get() == [b"invalidate", [name.encode()]]
    finally:
        await link.aclose()


async def test_a_subscription_hears_what_is_published_once_entered(broker: Broker, name: str) -> None:
    async with asyncio.timeout(30), broker.subscribe(name, name + "2") as one, broker.subscribe(name) as two:
        await broker.execute("PUBLISH", name, "first")
        assert [await one.get(), await two.get()] == [(name, b"first")] * 2
        await broker.execute("PUBLISH", name + "2", b"\xff")
        async for channel, payload in one:
            assert (channel, payload) == (name + "2", b"\xff")
            break


async def test_leaving_one_subscription_keeps_the_other(broker: Broker, name: str) -> None:
    async with asyncio.timeout(30), broker.subscribe(name) as stays:
        async with broker.subscribe(name):
            pass
        async with broker.subscribe(name + "other"):
            pass
        await broker.execute("PUBLISH", name, "still")
        assert await stays.get() == (name, b"still")


async def test_a_good_server_passes_the_check(broker: Broker, way: Way) -> None:
    facts = await broker.check()
    assert facts.product in ("Valkey", "Redis")  # without a Redis on the machine, Valkey stands in for it
    assert facts.role == "master"
    assert facts.eviction_policy == "noeviction"
    assert facts.nodes == (3 if way.name == "cluster" else 1)
    assert facts.warnings


async def test_a_closed_broker_leaves_no_connection(way: Way) -> None:
    broker = Broker.from_url(way.url, options=way.options)
    await broker.execute("PING")
    async with broker.subscribe("x"):
        pass
    await broker.aclose()
    await broker.aclose()


def test_the_same_options_make_a_sync_broker(way: Way) -> None:
    broker = Broker.from_url(way.url, options=way.options)
    with broker.sync() as sync:
        assert sync.execute("PING") in (b"PONG", "PONG")
        assert sync.options.retry_for == timedelta(seconds=3)
