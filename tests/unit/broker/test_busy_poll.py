"""A loop polls without sleep for a reply that is about to come, and soon no more for one that takes longer."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from rota.broker import busy_poll
from rota.broker.busy_poll import LONGEST_SECONDS, MOST_SKIPPED, BusyPoll

STEPS = 10


class Loop:
    """Runs what is to be called soon. A tenth of the longest poll passes in each turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def turns(self, most: int = 1000) -> int:
        """Return how often the loop polled without sleep until nothing was left to call."""
        done = 0
        while self._soon and done < most:
            done += 1
            self.now += LONGEST_SECONDS / STEPS
            self._soon.pop()()
        return done


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(busy_poll, "perf_counter", lambda: loop.now)
    return loop


def polling(loop: Loop, waiting: list[str]) -> BusyPoll:
    return BusyPoll(cast(asyncio.AbstractEventLoop, loop), waiting)


def test_the_poll_ends_with_the_reply(loop: Loop) -> None:
    waiting = ["a request"]
    polling(loop, waiting).begin()
    assert loop.turns(3) == 3
    waiting.clear()
    assert loop.turns() == 1


def test_the_poll_goes_on_with_the_next_request(loop: Loop) -> None:
    poll = polling(loop, ["a request"])
    poll.begin()
    assert loop.turns(STEPS - 1) == STEPS - 1
    poll.begin()  # the reply came, and the next request is on its way before the loop looked
    assert loop.turns() == STEPS


def test_the_poll_for_a_reply_that_does_not_come_ends(loop: Loop) -> None:
    polling(loop, ["a request"]).begin()
    assert loop.turns() == STEPS


def test_a_server_that_is_far_away_is_seldom_polled(loop: Loop) -> None:
    poll = polling(loop, ["a request"])
    polled: list[int] = []
    for number in range(4 * MOST_SKIPPED):
        poll.begin()
        if loop.turns():
            polled.append(number)
    assert polled[:4] == [0, 3, 8, 17]
    assert polled[-1] - polled[-2] == MOST_SKIPPED + 1


def test_a_reply_in_time_makes_up_for_all_that_came_late(loop: Loop) -> None:
    waiting = ["a request"]
    poll = polling(loop, waiting)
    for _ in range(10):
        poll.begin()
        loop.turns()
    waiting.clear()
    for _ in range(20):
        poll.begin()
        loop.turns()
    waiting.append("a request")
    for polls in (True, False, False, True):
        poll.begin()
        assert bool(loop.turns()) is polls
