"""What becomes of the tasks of a dead process: many, in queues of a pattern, with its last request under way."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from rota.errors import BrokerRefused
from rota.settings.settings import Settings
from rota.supervisor.kind import WORKER
from rota.supervisor.lease_keeper import LeaseKeeper
from rota.supervisor.messages import ProcessReport
from rota.supervisor.process import ChildProcess, Exit
from rota.supervisor.reclaim import Reclaim, ServedQueues
from rota.wire.attempts import records
from rota.wire.owner import Returned
from rota.wire.script import Call
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


class Dead(ChildProcess):
    """One that never was."""

    def __init__(self, worker_id: str, *, leaving: bool = False, code: int = -signal.SIGSEGV) -> None:
        self.id = worker_id
        self.kind = WORKER
        self.pid = 4711
        self.queues = set()
        self.introduction = None
        self.leaving = leaving
        self.killed = False
        self.exit = Exit(code)


def returns(yard: Yard, queues: str = QUEUE, note: Callable[[Returned], object] = print) -> Reclaim:
    settings = Settings(queues=queues)
    return Reclaim(yard.broker, ServedQueues(yard.broker, settings.worker.queues), 3, note)


async def test_more_than_a_page_comes_back_whole_and_the_living_keep_theirs(yard: Yard) -> None:
    later = int(await yard.now()) + 20.5
    for number in range(1300):
        await yard.active(f"t{number}", later, rota_token="living-1" if number % 13 == 0 else "dead-2")

    done = await returns(yard).give_back(Dead("dead"))

    assert done.pending == 1200
    assert len(await yard.members(yard.keys.pending)) == 1200
    assert len(await yard.members(yard.keys.active)) == 100


@pytest.mark.parametrize("ends", [range(600), range(0, 1300, 2), range(700, 1300)], ids=["oldest", "any", "youngest"])
async def test_no_task_is_passed_over_while_others_end_between_two_pages(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, ends: range
) -> None:
    """A list that loses some of its members moves under whoever reads it by position."""
    later = int(await yard.now()) + 20.5
    for number in range(1300):
        await yard.active(f"t{number}", later, rota_token="living-1" if number in ends else "dead-2")
    send = yard.broker.run_many

    async def run_many(calls: Sequence[Call[Any]]) -> list[Any]:
        replies = await send(calls)
        await yard.end(*(f"t{number}" for number in ends))
        return replies

    monkeypatch.setattr(yard.broker, "run_many", run_many)

    done = await returns(yard).give_back(Dead("dead"))

    assert done.pending == 1300 - len(ends)
    assert await yard.members(yard.keys.active) == []
    # The first one that was taken is the next one again.
    assert await yard.members(yard.keys.pending) == [f"t{n}" for n in reversed(range(1300)) if n not in ends]


async def test_no_lease_is_passed_over_while_tasks_end_between_two_pages(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1100):
        await yard.active(f"t{number}", 1.5, rota_token="other-1" if number < 500 else "late-1")
    send = yard.broker.run

    async def run(call: Call[Any]) -> Any:
        reply = await send(call)
        await yard.end(*(f"t{number}" for number in range(500)))
        return reply

    monkeypatch.setattr(yard.broker, "run", run)
    process = Dead("late", code=0)
    process.exit, process.report, process.introduced_at = None, ProcessReport(), 1.0
    settings = Settings(queues=QUEUE)

    await LeaseKeeper(yard.broker, ServedQueues(yard.broker, settings.worker.queues), settings.worker).look([process])

    assert await yard.number("ZCOUNT", yard.keys.lease, "-inf", "2") == 0
    assert await yard.number("ZCARD", yard.keys.lease) == 600


async def test_a_queue_of_a_pattern_is_found_although_the_process_had_no_time_to_report_it(yard: Yard) -> None:
    await yard.execute("SADD", yard.broker.keys.queues, QUEUE)
    await yard.active("a", 99.5, rota_token="dead-1")

    done = await returns(yard, queues="other,ya*").give_back(Dead("dead"))

    assert done.pending == 1


PATIENCE_S = 20


async def after_a_first_look(yard: Yard) -> Reclaim:
    """Give back what a dead process held. A fetch of its, still under way then, takes one task more."""
    later = int(await yard.now()) + 20.5
    await yard.active("first", later, rota_token="dead-1")
    giving = returns(yard)
    giving.begin(Dead("dead"))
    async with asyncio.timeout(PATIENCE_S):
        while await yard.members(yard.keys.active):
            await asyncio.sleep(0.005)
    await yard.active("late", later, rota_token="dead-2")
    return giving


async def test_what_a_fetch_under_way_still_took_comes_back_at_the_second_look(yard: Yard) -> None:
    giving = await after_a_first_look(yard)

    async with asyncio.timeout(PATIENCE_S):
        while await yard.members(yard.keys.active):
            await asyncio.sleep(0.01)
    assert await yard.members(yard.keys.pending) == ["first", "late"]
    await giving.finish(lambda: 1)


async def test_who_stops_looks_once_more_before_it_goes(yard: Yard) -> None:
    giving = await after_a_first_look(yard)

    await giving.finish(lambda: 5)

    assert await yard.members(yard.keys.pending) == ["first", "late"]


async def test_a_broker_that_hangs_does_not_delay_the_answer_whether_tasks_wait(yard: Yard) -> None:
    class Silent(ServedQueues):
        async def of(self, *processes: ChildProcess) -> list[Any]:
            return await asyncio.Event().wait()  # type: ignore[return-value]

    async with asyncio.timeout(PATIENCE_S):
        assert not await Silent(yard.broker, [QUEUE]).have_tasks()


async def test_the_last_looks_end_when_a_further_request_shortens_their_time(yard: Yard) -> None:
    class Silent(ServedQueues):
        async def of(self, *processes: ChildProcess) -> list[Any]:
            return await asyncio.Event().wait()  # type: ignore[return-value]

    giving, allowed = Reclaim(yard.broker, Silent(yard.broker, [QUEUE]), 3, print), 1000.0
    giving.begin(Dead("dead"))
    finishing = asyncio.create_task(giving.finish(lambda: allowed))
    await asyncio.sleep(0)
    assert not finishing.done()

    allowed = 0.0

    async with asyncio.timeout(PATIENCE_S):
        await finishing


async def test_the_quarantine_says_which_process_and_how_it_ended(yard: Yard) -> None:
    await yard.active("poison", 99.5, rota_token="dead-1", rota_crashes="2", msg=message("poison"))

    await returns(yard).give_back(Dead("dead"))

    text = (await yard.message("poison")).error_msg
    assert "3 workers died" in text
    assert "worker dead (process 4711)" in text
    assert "was ended by SIGSEGV" in text


async def test_the_attempts_of_a_dead_process_say_which_it_was_and_how_it_ended(yard: Yard) -> None:
    await yard.active("a", 99.5, rota_token="dead-1")
    await yard.active("other", 99.5, rota_token="living-1")

    await returns(yard).give_back(Dead("dead"))

    [found] = records((await yard.fields("a"))["rota_attempts"])
    assert (found["worker"], found["pid"], found["outcome"]) == ("dead", 4711, "crashed")
    assert found["error"].startswith("worker died: it was ended by SIGSEGV")
    assert "rota_attempts" not in await yard.fields("other")


async def test_what_was_given_back_of_one_queue_is_counted_although_another_refuses(yard: Yard) -> None:
    other = yard.broker.keys.queue("other")
    await yard.execute("SET", other.active, "in the way")
    await yard.active("poison", 99.5, rota_token="dead-1", rota_crashes="2")
    await yard.active("innocent", 99.5, rota_token="dead-2")
    noted: list[Returned] = []

    with pytest.raises(BrokerRefused):
        await returns(yard, f"other,{QUEUE}", noted.append).give_back(Dead("dead"))

    assert [(each.pending, each.quarantined) for each in noted] == [(1, 1)]


@pytest.mark.parametrize(
    ("code", "crashes"),
    [(0, None), (1, None), (-signal.SIGTERM, None), (-signal.SIGSEGV, b"1"), (-signal.SIGKILL, b"1")],
)
async def test_one_that_was_asked_to_go_costs_a_crash_only_if_something_else_ended_it(
    yard: Yard, code: int, crashes: bytes | None
) -> None:
    await yard.active("a", 99.5, rota_token="dead-1")

    await returns(yard).give_back(Dead("dead", leaving=True, code=code))

    assert (await yard.fields("a")).get("rota_crashes") == crashes
    assert await yard.members(yard.keys.pending) == ["a"]
