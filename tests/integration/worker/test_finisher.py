"""What the finisher does when the server has another opinion."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rota.broker.broker import Broker
from rota.errors import BrokerRefused, BrokerUnavailable
from rota.wire.outcome import Outcome
from rota.wire.script import Call
from rota.worker.run import finisher as module
from rota.worker.run.attempt import Attempt
from rota.worker.run.finisher import Finisher
from tests.integration.worker.yard import Yard, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


class NoFetcher:
    """A fetcher without a connection, so that the finisher uses the broker's."""

    link = None


long_backoff = Finisher._backoff
LEASE_OF_OURS = 1e10 + 0.5


async def test_a_task_handed_back_unread_that_another_has_taken_meanwhile_holds_up_no_outcome(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    await yard.active("taken", LEASE_OF_OURS, rota_token="theirs")
    await yard.active("done", LEASE_OF_OURS, rota_token="ours")
    recorded: list[str] = []
    finisher = Finisher(yard.broker, NoFetcher(), lambda done: recorded.extend(a.id for a in done), 100)
    running = asyncio.create_task(finisher.run())
    # It came during a stop: nobody has read its message.
    finisher.add(Attempt(yard.keys, "ours", "taken", b"", 1e12), Outcome("taken", "ours", "requeue"))
    await asyncio.wait_for(finisher.flush(), 20)
    finisher.add(Attempt(yard.keys, "ours", "done", b"", 1e12), None)
    async with asyncio.timeout(20):  # unlike `wait_for` of Python 3.11, it gives `run` no turn before the flush
        await finisher.flush()
    running.cancel()
    assert recorded == ["taken", "done"]
    assert finisher.statistics.discarded == 1
    assert await yard.members(yard.keys.active) == ["taken"]
    assert "Late result of task taken () discarded" in caplog.text


async def test_what_goes_back_together_is_in_its_old_order_although_it_takes_several_calls(yard: Yard) -> None:
    ids = [f"t{n}" for n in range(7)]
    for task_id in ids:
        await yard.active(task_id, LEASE_OF_OURS, rota_token="ours")
    finisher = Finisher(yard.broker, NoFetcher(), lambda _: None, 3)
    for task_id in ids:
        finisher.add(Attempt(yard.keys, "ours", task_id, b"", 1e12), Outcome(task_id, "ours", "requeue"))
    running = asyncio.create_task(finisher.run())
    await asyncio.wait_for(finisher.flush(), 20)
    running.cancel()
    assert await yard.members(yard.keys.pending) == ids[::-1]


async def test_outcome_that_was_recorded_by_a_cancelled_run_is_not_late_in_the_next_one(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    send, applied = Finisher._send, asyncio.Event()

    async def send_and_hang(self: Finisher, call: Call[dict[int, int]]) -> dict[int, int]:
        await send(self, call)
        applied.set()
        return await asyncio.get_running_loop().create_future()

    await yard.active("done", LEASE_OF_OURS, rota_token="ours")
    finisher = Finisher(yard.broker, NoFetcher(), lambda _: None, 100)
    finisher.add(Attempt(yard.keys, "ours", "done", b"", 1e12), None)
    with monkeypatch.context() as patch:
        patch.setattr(Finisher, "_send", send_and_hang)
        running = asyncio.create_task(finisher.run())
        await asyncio.wait_for(applied.wait(), 20)
        running.cancel()
        await asyncio.wait([running])
    again = asyncio.create_task(finisher.run())
    await asyncio.wait_for(finisher.flush(), 20)
    again.cancel()
    assert (finisher.statistics.recorded, finisher.statistics.discarded) == (1, 0)
    assert "Late result" not in caplog.text


@pytest.mark.parametrize("error", [BrokerRefused, BrokerUnavailable])
async def test_a_stop_does_not_wait_out_the_pause_after_an_outage_that_is_over(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    # As after many failures: half of such a pause, at least, is to come.
    monkeypatch.setattr(Finisher, "_backoff", lambda self, _: long_backoff(self, 120))
    monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 120)
    failures: list[Exception] = []

    async def fail(*_: object) -> None:
        failures.append(error("not now"))
        raise failures[-1]

    await yard.active("done", 1e12, rota_token="ours")
    recorded: list[str] = []
    finisher = Finisher(yard.broker, NoFetcher(), lambda done: recorded.extend(a.id for a in done), 100)
    running = asyncio.create_task(finisher.run())
    with monkeypatch.context() as outage:
        outage.setattr(Broker, "run", fail)
        finisher.add(Attempt(yard.keys, "ours", "done", b"", 1e12), None)
        while len(failures) < (2 if error is BrokerRefused else 1):  # what is refused is tried once more by itself
            await asyncio.sleep(0.01)
    assert recorded == []
    await asyncio.wait_for(finisher.flush(), 20)
    running.cancel()
    assert recorded == ["done"]


async def test_a_large_request_that_is_lost_is_sent_again_in_halves_and_keeps_the_order(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that closes the connection on a request above its limit: no real one has so low a limit."""
    ids = [f"t{n}" for n in range(7)]
    for task_id in ids:
        await yard.active(task_id, LEASE_OF_OURS, rota_token="ours")
    sizes: list[int] = []
    run = Broker.run

    async def limited(self: Broker, call: Call[object]) -> object:
        sizes.append(sum(len(word) for word in call.args if isinstance(word, bytes) and word.startswith(b"m")))
        if sizes[-1] > 100_000:
            raise BrokerUnavailable("closed by the server", maybe_applied=True)
        return await run(self, call)

    monkeypatch.setattr(Broker, "run", limited)
    finisher = Finisher(yard.broker, NoFetcher(), lambda _: None, 100)
    for task_id in ids:
        outcome = Outcome(task_id, "ours", "requeue", message=b"m" * 50_000)
        finisher.add(Attempt(yard.keys, "ours", task_id, b"", 1e12), outcome)
    running = asyncio.create_task(finisher.run())
    await asyncio.wait_for(finisher.flush(), 20)
    running.cancel()
    monkeypatch.undo()
    assert sizes == [350_000, 200_000, 100_000, 100_000, 150_000, 100_000, 50_000]
    assert await yard.members(yard.keys.pending) == ids[::-1]
    assert finisher.statistics.recorded == 7
