"""Counts by the minute, as workers write them: for each way to run, for each end, and beside faults."""

import asyncio
import time
from typing import Any

import pytest

from rota.app import Rota
from rota.broker.broker import Broker
from rota.errors import BrokerUnavailable, RetryLater
from rota.inspect.histogram import Histogram
from rota.tasks.policy import Retry
from rota.wire import minute
from rota.wire.minute import TypeCounts
from rota.wire.outcome import Outcome
from rota.wire.script import Call
from rota.worker.run.attempt import Attempt
from rota.worker.run.finisher import Finisher
from tests.integration.worker.conftest import Bench, eventually
from tests.integration.worker.test_finisher import LEASE_OF_OURS, NoFetcher
from tests.integration.worker.yard import Yard, open_yard


def wait_in_thread(seconds: float) -> None:
    time.sleep(seconds)


async def wait_on_loop(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def counted(bench: Bench, runs: int, queue: str = "default") -> TypeCounts:
    """The counts of all time, as soon as so many runs are in them."""

    async def enough() -> TypeCounts | None:
        found = (await bench.broker.run(minute.look_total(bench.broker.keys.queue(queue)))).counts
        number = sum(each["n"] for each in [*found.by_type.values(), found.others] if each)
        return found if number >= runs else None

    found = await eventually(enough)
    assert isinstance(found, tuple)
    return TypeCounts(*found)


def names_of_ends(counts: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in counts.items() if name in minute.HOW}


@pytest.mark.parametrize("run", ["loop", "thread", "process"])
async def test_runs_are_counted_with_their_times_wherever_they_run(app: Rota, bench: Bench, run: str) -> None:
    task = app.task("slow", run=run)(wait_on_loop if run == "loop" else wait_in_thread)  # type: ignore[call-overload]
    for _ in range(3):
        await task.enqueue(0.05)
    async with app.worker():
        found = (await counted(bench, 3)).by_type["slow"]
    assert names_of_ends(found) == {"succeeded": 3}
    runs, waits = Histogram.of(found, "r"), Histogram.of(found, "w")
    assert (runs.count, waits.count) == (3, 3)
    shortest = runs.percentile(0)
    assert shortest is not None
    assert shortest.total_seconds() > 0.05 / 1.5


async def test_each_end_is_counted_by_its_name(app: Rota, bench: Bench) -> None:
    @app.task("flaky", retry=Retry(max=1, delay="10ms"))
    async def flaky(how: str) -> None:
        if how == "later":
            raise RetryLater("1h", counts=False)
        if how == "fails":
            raise ValueError(how)

    @app.task("kept", retention="1h")
    async def kept() -> int:
        return 7

    for how in ("well", "fails", "later"):
        await flaky.enqueue(how)
    await kept.enqueue()
    async with app.worker():
        found = await counted(bench, 4)
        await asyncio.gather(*(bench.in_state(each, "completed") for each in [(await kept.enqueue()).id]))
        found = await counted(bench, 5)
    assert names_of_ends(found.by_type["flaky"]) == {"succeeded": 1, "retried": 1, "failed": 1}
    assert names_of_ends(found.by_type["kept"]) == {"succeeded": 2}
    totals = await bench.broker.run(minute.look_total(bench.broker.keys.queue("default")))
    assert totals.elsewhere() == {"processed": 0, "failed": 0}


async def test_tasks_of_several_types_in_one_batch_are_apart(app: Rota, bench: Bench) -> None:
    @app.task("one")
    async def one() -> None: ...

    @app.task("two")
    async def two() -> None: ...

    await app.enqueue_many([task.plan() for task in (one, two, two) for _ in range(20)])
    async with app.worker():
        found = await counted(bench, 60)
    assert {type: names_of_ends(each) for type, each in found.by_type.items()} == {
        "one": {"succeeded": 20},
        "two": {"succeeded": 40},
    }


async def counts(yard: Yard) -> dict[str, dict[str, int]]:
    return (await yard.broker.run(minute.look_total(yard.keys))).counts.by_type


def attempt(yard: Yard, task_id: str, token: str = "ours") -> Attempt:
    made = Attempt(yard.keys, token, task_id, b"", 1e12)
    made.type, made.begun, made.ran_seconds = "t", True, 0.0
    return made


async def recorded(yard: Yard, *ended: tuple[Attempt, Outcome | None]) -> Finisher:
    finisher = Finisher(yard.broker, NoFetcher(), lambda _: None, 100)
    for each in ended:
        finisher.add(*each)
    running = asyncio.create_task(finisher.run())
    await asyncio.wait_for(finisher.flush(), 20)
    running.cancel()
    return finisher


async def test_rest_of_a_batch_is_counted_if_some_of_it_is_refused(any_url: str) -> None:
    async with open_yard(any_url) as yard:
        for task_id in ("a", "b"):
            await yard.active(task_id, LEASE_OF_OURS, rota_token="ours")
        await yard.active("taken", LEASE_OF_OURS, rota_token="theirs")
        finisher = await recorded(yard, *((attempt(yard, task_id), None) for task_id in ("a", "taken", "b")))
        assert finisher.statistics.discarded == 1
        assert await counts(yard) == {"t": {"n": 2, "succeeded": 2, "r0": 2}}


async def test_batch_whose_answer_was_lost_is_counted_once(any_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_yard(any_url) as yard:
        for task_id in ("a", "b"):
            await yard.active(task_id, LEASE_OF_OURS, rota_token="ours")
        run, sent = Broker.run, list[str]()

        async def lose_the_first(self: Broker, call: Call[Any]) -> Any:
            answer = await run(self, call)
            sent.append(call.script.name)
            if len(sent) == 1:
                raise BrokerUnavailable("the answer was lost", maybe_applied=True)
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(Broker, "run", lose_the_first)
            finisher = await recorded(yard, (attempt(yard, "a"), None), (attempt(yard, "b"), None))
        assert sent == ["done", "done"]
        assert (finisher.statistics.recorded, finisher.statistics.discarded) == (2, 0)
        assert await counts(yard) == {"t": {"n": 2, "succeeded": 2, "r0": 2}}


async def test_lost_count_of_a_refused_batch_is_not_sent_again(any_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_yard(any_url) as yard:
        await yard.active("a", LEASE_OF_OURS, rota_token="ours")
        await yard.active("taken", LEASE_OF_OURS, rota_token="theirs")
        run = Broker.run

        async def fail_to_count(self: Broker, call: Call[Any]) -> Any:
            if call.script.name == "minute_add":
                raise BrokerUnavailable("away", maybe_applied=True)
            return await run(self, call)

        with monkeypatch.context() as patch:
            patch.setattr(Broker, "run", fail_to_count)
            finisher = await recorded(yard, (attempt(yard, "a"), None), (attempt(yard, "taken"), None))
        assert finisher.statistics.recorded == 1
        assert await counts(yard) == {}
