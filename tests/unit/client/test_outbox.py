"""The buffer, against a broker that does what a test wants."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from rota.broker import Broker, BrokerOptions
from rota.client.delivery import Delivery
from rota.client.outbox import Outbox
from rota.client.packing import Packer
from rota.client.parcel import Parcel
from rota.client.published import Published
from rota.enqueued import Plan
from rota.errors import BrokerRefused, BrokerUnavailable
from rota.options import Options
from rota.wire.enqueue import Reply
from rota.wire.keys import Keys
from rota.wire.script import Call

WIDTH, FIRST = 10, 3


class FakeBroker:
    """Notes the calls; `error` is raised by each until it is taken away."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.options = BrokerOptions(retry_for=timedelta(minutes=1))
        self.calls: list[Call[Any]] = []
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    def within(self, retry_for: timedelta) -> "FakeBroker":
        return self

    async def execute(self, *words: Any, key: str | None = None) -> None:
        await asyncio.sleep(0)

    async def run(self, call: Call[Any]) -> list[Reply]:
        self.calls.append(call)
        await asyncio.sleep(0)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return [Reply("created", str(task_id), "pending") for task_id in ids(call)]


def ids(call: Call[Any]) -> list[str]:
    return [str(word) for word in call.args[FIRST::WIDTH]]


def plan(**words: Any) -> Plan[Any]:
    return Plan("t", b"{}", Options.of(**words))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    monkeypatch.setattr("rota.client.lane.pause_seconds", lambda failures: 0.0)
    return FakeBroker()


@pytest.fixture
def outbox(broker: FakeBroker) -> Outbox:
    return Outbox(cast(Broker, broker), Packer(broker.keys), Published(), Delivery(buffer_max=1000))


async def accepted(outbox: Outbox, **words: Any) -> Parcel:
    """Post a plan that the broker does not get for now."""
    outbox._patience_seconds, patience_seconds = 0.05, outbox._patience_seconds
    parcel = await outbox.post(plan(**words))
    outbox._patience_seconds = patience_seconds
    return parcel


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_what_comes_meanwhile_makes_the_next_request(outbox: Outbox, broker: FakeBroker) -> None:
    parcels = await asyncio.gather(*(outbox.post(plan()) for _ in range(5)))
    assert [ids(call) for call in broker.calls] == [[parcel.id for parcel in parcels]]
    broker.open.clear()
    waiting = asyncio.gather(*(outbox.post(plan()) for _ in range(2)))
    await until(lambda: len(broker.calls) == 2)
    more = [asyncio.create_task(outbox.post(plan())) for _ in range(3)]
    await asyncio.sleep(0)
    broker.open.set()
    await waiting
    await asyncio.gather(*more)
    assert [len(ids(call)) for call in broker.calls] == [5, 2, 3]


async def test_a_request_is_sent_again_as_it_was(outbox: Outbox, broker: FakeBroker) -> None:
    broker.error = BrokerUnavailable("gone", maybe_applied=True)
    first = await accepted(outbox, delay="1h")
    second = await accepted(outbox)
    await until(lambda: len(broker.calls) > 3)
    assert len({tuple(call.args) for call in broker.calls}) == 1
    broker.error = None
    assert await outbox.flush(timedelta(seconds=5))
    assert [ids(broker.calls[0]), ids(broker.calls[-1])] == [[first.id], [second.id]]
    assert len(outbox) == 0


async def test_a_refusal_is_told_to_who_waits_and_kept_from_who_has_gone(
    outbox: Outbox, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.error = BrokerRefused("wrong password")
    with pytest.raises(BrokerRefused, match="wrong password"):
        await outbox.post(plan())
    broker.error = BrokerUnavailable("gone")
    parcel = await accepted(outbox)
    broker.error = BrokerRefused("wrong password")
    with caplog.at_level(logging.ERROR):
        await until(lambda: "1 buffered tasks for queue 'default' cannot be sent: wrong password" in caplog.text)
    assert parcel.outcome is None
    broker.error = None
    assert await outbox.flush(timedelta(seconds=5))
    assert parcel.outcome == Reply("created", parcel.id, "pending")


async def test_those_who_wait_are_told_and_the_accepted_go_on_in_a_request_of_their_own(
    outbox: Outbox, broker: FakeBroker
) -> None:
    broker.open.clear()
    first = asyncio.create_task(outbox.post(plan()))
    await until(lambda: len(broker.calls) == 1)
    gone, staying = asyncio.create_task(outbox.post(plan())), asyncio.create_task(outbox.post(plan()))
    await asyncio.sleep(0)
    [lane] = outbox._lanes.values()
    lane.parcels[1].release()
    broker.error = BrokerRefused("no")
    broker.open.set()
    results = await asyncio.gather(first, gone, staying, return_exceptions=True)
    assert [type(result) for result in results] == [BrokerRefused, Parcel, BrokerRefused]
    broker.error = None
    assert await outbox.flush(timedelta(seconds=5))
    assert ids(broker.calls[-1]) == [cast(Parcel, results[1]).id]


async def test_a_surprise_does_not_end_the_sending(
    outbox: Outbox, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.error = RuntimeError("cannot schedule new futures after shutdown")
    parcel = await accepted(outbox)
    assert parcel.outcome is None
    assert "it is tried again" in caplog.text
    broker.error = None
    assert await outbox.flush(timedelta(seconds=5))


async def test_who_stops_waiting_leaves_an_accepted_task(outbox: Outbox, broker: FakeBroker) -> None:
    broker.open.clear()
    waiting = asyncio.create_task(outbox.post(plan()))
    await until(lambda: len(broker.calls) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(outbox) == 1
    broker.open.set()
    assert await outbox.flush(timedelta(seconds=5))


async def test_queues_do_not_wait_for_each_other(outbox: Outbox, broker: FakeBroker) -> None:
    run = broker.run

    async def run_but_a(call: Call[Any]) -> list[Reply]:
        if "{a}" in call.keys[0]:
            raise BrokerUnavailable("the node of a is gone")
        return await run(call)

    broker.run = run_but_a  # type: ignore[method-assign]
    stuck = await accepted(outbox, queue="a")
    assert (await outbox.post(plan(queue="b"))).outcome is not None
    assert stuck.outcome is None
    assert len(await outbox.aclose(timedelta(0))) == 1


async def test_a_delay_counts_from_the_moment_of_acceptance() -> None:
    loop = asyncio.get_running_loop()
    parcel = Parcel(plan(delay="10s"), Packer(Keys()), loop)
    parcel.accepted_at -= 4
    passed = time.monotonic() - parcel.accepted_at
    left = float(parcel.item().when)
    assert 10 - (time.monotonic() - parcel.accepted_at) <= left + 0.001 <= 10 - passed + 0.002
    parcel.accepted_at -= 60
    assert float(parcel.item().when) == 0
    assert Parcel(plan(), Packer(Keys()), loop).item().when == ""
