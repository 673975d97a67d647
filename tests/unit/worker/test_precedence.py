"""Lanes take turns by the weights of their queues."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable

import pytest

from rota.worker import precedence as precedence_module
from rota.worker.precedence import PATIENCE_SECONDS, Precedence
from rota.worker.queues import Subscription


class Lane:
    def __init__(self, precedence: Precedence, *queues: str) -> None:
        self.queues = set(queues)
        self.precedence = precedence
        precedence.join(self)

    def claims(self) -> Iterable[str]:
        return self.queues

    def turn(self, free: int = 1) -> "asyncio.Task[tuple[str, int] | None]":
        return asyncio.create_task(self.precedence.turn(self, free))


def strict() -> Precedence:
    return Precedence(Subscription({"high": 3, "low": 1}, strict=True))


async def soon() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is given up, however long this test is held up."""
    monkeypatch.setattr(precedence_module, "PATIENCE_SECONDS", 60)


@pytest.mark.usefixtures("patient")
async def test_a_lane_gives_way_to_a_heavier_queue_on_another_until_that_is_empty() -> None:
    precedence = strict()
    low, high = Lane(precedence, "low"), Lane(precedence, "high")
    waiting = low.turn()
    for _ in range(3):
        assert await high.turn() == ("high", 1)
        precedence.tell()
        await soon()
        assert not waiting.done()
    high.queues.clear()
    precedence.tell()
    assert await waiting == ("low", 1)


async def test_turns_are_taken_by_weight() -> None:
    precedence = Precedence(Subscription({"high": 3, "low": 1}))
    taken: Counter[str] = Counter()

    async def take(lane: Lane) -> None:
        while taken.total() < 4000:
            turn = await precedence.turn(lane, random.randint(1, 4))
            assert turn is not None
            taken[turn[0]] += turn[1]
            await asyncio.sleep(0)
            precedence.tell()

    await asyncio.gather(take(Lane(precedence, "high")), take(Lane(precedence, "low")))
    assert 0.7 < taken["high"] / taken.total() < 0.8


async def test_lanes_share_the_free_slots_without_waiting_for_each_other() -> None:
    precedence = Precedence(Subscription({"high": 1, "low": 1}))
    turns = await asyncio.gather(*(Lane(precedence, name).turn(1000) for name in ("low", "high")))
    assert sum(turn[1] for turn in turns if turn) == 1000


async def test_a_lane_that_does_not_come_is_waited_for_once() -> None:
    precedence = strict()
    low, _ = Lane(precedence, "low"), Lane(precedence, "high")
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await low.turn() == ("low", 1)
    once = loop.time() - start
    assert once >= PATIENCE_SECONDS * 0.9
    for _ in range(100):
        assert await asyncio.wait_for(precedence.turn(low, 1), PATIENCE_SECONDS / 2) == ("low", 1)


async def test_a_lane_that_comes_late_is_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    precedence = strict()
    low, high = Lane(precedence, "low"), Lane(precedence, "high")
    assert await low.turn() == ("low", 1)
    monkeypatch.setattr(precedence_module, "PATIENCE_SECONDS", 60)
    assert await high.turn() == ("high", 1)
    waiting = low.turn()
    await soon()
    assert not waiting.done()
    high.queues.clear()
    precedence.tell()
    assert await waiting == ("low", 1)


async def test_a_lane_without_tasks_has_no_turn() -> None:
    precedence = strict()
    low, _ = Lane(precedence), Lane(precedence, "high")
    assert await low.turn() is None


def test_it_matters_where_lanes_have_queues_of_different_weight() -> None:
    alike, differ = (Precedence(Subscription({"a": 2, "b": weight})) for weight in (2, 3))
    for precedence in (alike, differ):
        Lane(precedence, "a")
        assert not precedence.matters
        Lane(precedence, "b")
    assert (alike.matters, differ.matters) == (False, True)
