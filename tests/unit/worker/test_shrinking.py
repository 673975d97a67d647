"""A fetcher whose slots are changed at any moment: no task is lost, and none starts above the concurrency."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from rota.broker.broker import Broker
from rota.wire.fetch import EMPTY, MORE, Fetched, LastChance, Notes, QueueBatch, Spared
from rota.wire.keys import Keys
from rota.wire.script import Call
from rota.worker.clock import BrokerClock
from rota.worker.consume.fetcher import Fetcher, FetchOptions
from rota.worker.consume.queue_selection import FetchRules, QueueSelection
from rota.worker.run.attempt import Attempt, tokens
from rota.worker.run.concurrency import Slots

Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 40)),
        st.tuples(st.just("resize"), st.integers(1, 30)),
        st.tuples(st.just("end"), st.integers(1, 20)),
        st.tuples(st.just("reply"), st.just(1)),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    max_size=40,
)


class Link:
    """A connection on which nothing is sent."""

    endpoint, closed, reason, on_close, on_push = "here", False, None, None, None

    def close(self, reason: object) -> None: ...

    async def finish(self, seconds: float) -> None: ...


class Server:
    """A queue whose replies come when the test says so, so that a change can come while a fetch is under way."""

    clustered = False
    keys = Keys()
    options = SimpleNamespace(silence_seconds=60.0)

    def __init__(self) -> None:
        self.waiting: deque[str] = deque()
        self.replies: deque[asyncio.Future[None]] = deque()
        self.sent: Callable[[], object] = lambda: None

    async def open_link(self, key: str) -> Link:
        return Link()

    async def run_via(self, link: Link, call: Call[Any]) -> Any:
        if call.script.name != "fetch":
            raise AssertionError(f"an unexpected call of {call.script.name}")
        self.sent()
        taken = [self.waiting.popleft() for _ in range(min(int(call.args[2]), len(self.waiting)))]
        reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.replies.append(reply)
        await reply
        tasks = [word for task_id in taken for word in (task_id.encode(), b"")]
        return Fetched(0.0, [QueueBatch(MORE if self.waiting else EMPTY, None, tasks, {}, [])])

    def answer(self) -> None:
        while self.replies:
            reply = self.replies.popleft()
            if not reply.done():
                reply.set_result(None)
                return


class Bench:
    """The fetcher under test, with the tasks that it has started."""

    def __init__(self) -> None:
        self.server = Server()
        self.slots = Slots(5)
        self.running: list[str] = []
        self.started: list[str] = []
        self.added = 0
        self.limit = 5
        """The concurrency when the last fetch was sent: its slots were reserved then."""
        self.server.sent = self.note_limit
        selection = QueueSelection({"q": 1})
        self.fetcher = Fetcher(
            cast("Broker", self.server),
            self.slots,
            BrokerClock(),
            self.start,
            tokens=tokens("w"),
            options=FetchOptions(30, timedelta(minutes=1).total_seconds(), batch=100, wake_up="poll"),
            rules=FetchRules(selection, lambda queue: True, LastChance, Spared, lambda: None),
        )

    def start(self, attempt: Attempt, notes: Notes | None) -> None:
        self.running.append(attempt.id)
        self.started.append(attempt.id)
        assert len(self.running) <= self.limit, "a task was started above the concurrency"

    def note_limit(self) -> None:
        assert self.slots.used <= self.slots.capacity, "a fetch was sent for slots that are not free"
        self.limit = self.slots.capacity

    async def take(self, step: Step) -> None:
        act, n = step
        if act == "add":
            self.server.waiting.extend(f"t{self.added + i}" for i in range(n))
            self.added += n
            self.fetcher.note("q")
        elif act == "resize":
            self.slots.resize(n)
        elif act == "end":
            for _ in range(min(n, len(self.running))):
                self.running.pop()
                self.slots.give_back()
        elif act == "reply":
            self.server.answer()
        await self.turn(n if act == "turn" else 1)
        assert self.slots.used >= len(self.running)

    async def turn(self, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Let everything run to its end."""
        async with asyncio.timeout(30):
            while len(self.started) < self.added or self.running:
                self.fetcher.note("q")
                await self.take(("reply", 1))
                await self.take(("end", 1))


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_no_task_is_lost_or_started_above_the_concurrency_when_it_changes(steps: list[Step]) -> None:
    async def play() -> None:
        bench = Bench()
        fetching = asyncio.create_task(bench.fetcher.run())
        try:
            for step in steps:
                await bench.take(step)
            await bench.finish()
        finally:
            bench.fetcher._stopping = True
            while not fetching.done():
                bench.server.answer()
                bench.slots.wake()
                fetching.cancel()
                await asyncio.sleep(0)
        assert sorted(bench.started) == sorted(f"t{n}" for n in range(bench.added)), "each task is started once"
        assert bench.slots.free == bench.slots.capacity

    asyncio.run(play())


def test_slots_that_are_reduced_below_what_runs_are_free_again_after_as_many_ends() -> None:
    slots = Slots(5)
    slots.take(5)
    slots.resize(2)
    assert (slots.free, slots.used, slots.capacity) == (-3, 5, 2)
    for left in (-2, -1, 0, 1):
        slots.give_back()
        assert slots.free == left
    slots.resize(40)
    assert (slots.free, slots.used, slots.wave) == (39, 1, 20)


async def test_code_that_waits_for_a_slot_is_woken_when_there_are_more() -> None:
    slots = Slots(1)
    slots.take(1)
    waiting = asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    slots.resize(2)
    await asyncio.wait_for(waiting, 30)
