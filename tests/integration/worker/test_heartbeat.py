import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from functools import partial

import pytest

from rota.broker import SyncBroker
from rota.errors import BrokerError
from rota.wire import worker_order
from rota.wire.proto import ServerInfo, TaskMessage, WorkerInfo
from rota.wire.server_record import ServerState
from rota.wire.worker_order import WorkerOrder
from rota.worker.clock import lease_clock
from rota.worker.heartbeat import Heartbeat
from rota.worker.run.attempt import Attempt
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard

DEADLINE = 30.0
STATE = ServerState(
    host="here", pid=7, server_id="s1", concurrency=5, queues={QUEUE: 2}, strict_priority=True, started_ns=10**18
)


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


class Inbox:
    """The orders that beats have brought, and the answers that the next beat has to carry."""

    def __init__(self) -> None:
        self.read: list[tuple[str, bytes]] = []
        self.answers: dict[str, str] = {}

    def unsent(self) -> dict[str, str]:
        return dict(self.answers)

    def sent(self, answers: Iterable[str]) -> None:
        for order_id in answers:
            self.answers.pop(order_id)

    def receive(self, orders: Iterable[tuple[str, bytes]], tell: Callable[[Callable[[], object]], object]) -> None:
        self.read += orders


class Holder:
    """What a heartbeat asks of its worker."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.held: dict[Attempt, None] = {}
        self.lost: list[Attempt] = []
        self.cancelled: list[tuple[Attempt, str]] = []
        self.brokers: list[SyncBroker] = []
        self.orders = Inbox()

    async def hold(self, task_id: str, *, token: str = "t1", stored: str = "t1", lease: float = 1.5) -> Attempt:
        await self.yard.active(task_id, lease, rota_token=stored)
        attempt = Attempt(self.yard.keys, token, task_id, message(task_id), 0.0)
        attempt.message = TaskMessage(id=task_id, type="test:it", payload=b"{}")
        attempt.type = "test:it"
        attempt.started_at, attempt.deadline_unix = 1_700_000_000.5, 1_700_000_600.0
        self.held[attempt] = None
        return attempt

    def lose(self, attempts: list[Attempt]) -> None:
        self.lost += attempts

    def heartbeat(self, every: timedelta = timedelta(seconds=5)) -> Heartbeat:
        sync = self.yard.broker.sync()
        self.brokers.append(sync)
        return Heartbeat(
            sync,
            lambda: list(self.held),
            lambda: STATE,
            self.lose,  # type: ignore[arg-type]
            lambda attempt, reason: self.cancelled.append((attempt, reason)),
            self.orders,
            every=every,
        )


@pytest.fixture
async def holder(yard: Yard) -> AsyncIterator[Holder]:
    holder = Holder(yard)
    yield holder
    for broker in holder.brokers:
        broker.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_beat_extends_our_leases_by_the_broker_s_clock(yard: Yard, holder: Holder) -> None:
    attempt = await holder.hold("mine")
    before, clock_before = int(await yard.now()), lease_clock()
    await asyncio.to_thread(holder.heartbeat().beat)
    score = float(await yard.execute("ZSCORE", yard.keys.lease, "mine"))
    assert before + 30 <= score <= await yard.now() + 30.5
    assert clock_before + 30 <= attempt.lease_until <= lease_clock() + 30


async def test_an_attempt_that_lost_its_lease_entry_gets_it_again(yard: Yard, holder: Holder) -> None:
    await holder.hold("mine")
    await yard.execute("DEL", yard.keys.lease)
    await asyncio.to_thread(holder.heartbeat().beat)
    assert await yard.members(yard.keys.lease) == ["mine"]


async def test_an_attempt_that_another_took_over_is_lost_and_its_lease_untouched(yard: Yard, holder: Holder) -> None:
    taken = await holder.hold("taken", stored="t2", lease=99.5)
    await holder.hold("mine")
    moved = await holder.hold("moved")
    await yard.hash("moved", state="retry")
    gone = await holder.hold("gone")
    await yard.execute("DEL", yard.keys.task("gone"))
    heartbeat = holder.heartbeat()
    await asyncio.to_thread(heartbeat.beat)
    assert set(holder.lost) == {taken, moved, gone}
    assert float(await yard.execute("ZSCORE", yard.keys.lease, "taken")) == 99.5
    assert heartbeat.statistics().lost == 3


async def test_a_beat_tells_of_a_request_to_cancel_that_nobody_may_have_heard(yard: Yard, holder: Holder) -> None:
    await holder.hold("mine")
    asked = await holder.hold("asked")
    await yard.hash("asked", rota_cancel="enough")
    await holder.hold("taken", stored="t2")
    await yard.hash("taken", rota_cancel="not for us")
    await asyncio.to_thread(holder.heartbeat().beat)
    assert holder.cancelled == [(asked, "enough")]


async def test_an_attempt_that_ended_meanwhile_is_not_lost(yard: Yard, holder: Holder) -> None:
    attempt = await holder.hold("ended", stored="t2")
    heartbeat = holder.heartbeat(timedelta(milliseconds=20))
    looks = 0

    def running() -> list[Attempt]:
        nonlocal looks
        looks += 1
        return [attempt] if looks == 1 else []

    heartbeat._running = running
    await asyncio.to_thread(heartbeat.beat)
    assert holder.lost == []


async def test_asynq_s_records_show_the_server_and_what_it_runs(yard: Yard, holder: Holder) -> None:
    await holder.hold("mine")
    heartbeat = holder.heartbeat()
    heartbeat.status = "active"
    before = int(await yard.now())
    await asyncio.to_thread(heartbeat.beat)
    after = await yard.now()
    server = ServerInfo.FromString(await yard.execute("GET", yard.broker.keys.server("here", 7, "s1")))
    assert (server.status, server.active_worker_count, dict(server.queues)) == ("active", 1, {QUEUE: 2})
    workers = yard.broker.keys.worker("here", 7, "s1")
    info = WorkerInfo.FromString(await yard.execute("HGET", workers, "mine"))
    assert (info.task_type, info.task_payload, info.queue) == ("test:it", b"{}", QUEUE)
    assert (info.start_time.seconds, info.start_time.nanos) == (1_700_000_000, 500_000_000)
    assert info.deadline.seconds == 1_700_000_600
    assert before + 10 <= await yard.number("EXPIRETIME", workers) <= after + 11
    await asyncio.to_thread(heartbeat.clear)
    assert await yard.names() <= {yard.keys.lease, yard.keys.active, yard.keys.task("mine")}


async def test_an_attempt_whose_task_a_go_server_took_is_lost_although_our_token_is_still_there(
    yard: Yard, holder: Holder
) -> None:
    taken = await holder.hold("taken", lease=99)  # Go's leases end with a whole second
    heartbeat = holder.heartbeat()
    await asyncio.to_thread(heartbeat.beat)
    assert holder.lost == [taken]
    assert float(await yard.execute("ZSCORE", yard.keys.lease, "taken")) == 99


async def test_a_beat_lists_the_server_and_drops_those_that_are_long_gone(yard: Yard, holder: Holder) -> None:
    keys = yard.broker.keys
    for listing in (keys.servers, keys.workers):
        await yard.execute("ZADD", listing, 5, "long-gone")
    before = int(await yard.now())
    await asyncio.to_thread(holder.heartbeat().beat)
    assert await yard.members(keys.servers) == [keys.server("here", 7, "s1")]
    assert await yard.members(keys.workers) == [keys.worker("here", 7, "s1")]
    until = float(await yard.execute("ZSCORE", keys.servers, keys.server("here", 7, "s1")))
    assert before + 10 <= until <= await yard.now() + 10


async def test_records_live_for_two_intervals_if_the_interval_is_long(yard: Yard, holder: Holder) -> None:
    keys = yard.broker.keys
    await holder.hold("mine")
    await asyncio.to_thread(holder.heartbeat(timedelta(seconds=20)).beat)
    for record in (keys.server("here", 7, "s1"), keys.worker("here", 7, "s1")):
        assert await yard.execute("TTL", record) >= 30
    assert float(await yard.execute("ZSCORE", keys.servers, keys.server("here", 7, "s1"))) > await yard.now() + 30


async def test_leases_are_kept_while_the_event_loop_is_blocked(yard: Yard, holder: Holder) -> None:
    await holder.hold("mine")
    heartbeat = holder.heartbeat(timedelta(milliseconds=10))
    running = asyncio.create_task(heartbeat.run())
    await until(lambda: heartbeat.statistics().beats > 0)
    before, end = heartbeat.statistics().beats, time.monotonic() + DEADLINE
    while heartbeat.statistics().beats <= before + 5:  # the loop stands still, as it does for a handler that computes
        assert time.monotonic() < end
    running.cancel()
    await asyncio.wait([running])


async def test_it_clears_its_records_when_it_stops(yard: Yard, holder: Holder) -> None:
    heartbeat = holder.heartbeat()
    running = asyncio.create_task(heartbeat.run())
    await until(lambda: heartbeat.statistics().beats > 0)
    assert yard.broker.keys.server("here", 7, "s1") in await yard.names()
    running.cancel()
    await asyncio.wait([running])
    assert await yard.names() == set()


async def test_a_record_that_cannot_be_written_costs_no_lease(yard: Yard, holder: Holder) -> None:
    await holder.hold("mine")
    await yard.execute("SET", yard.broker.keys.servers, "in the way")
    with pytest.raises(BrokerError):
        await asyncio.to_thread(holder.heartbeat().beat)
    assert float(await yard.execute("ZSCORE", yard.keys.lease, "mine")) > 1


async def test_more_attempts_than_one_script_may_take_are_all_extended(yard: Yard, holder: Holder) -> None:
    for number in range(1100):
        await holder.hold(f"t{number}")
    await asyncio.to_thread(holder.heartbeat().beat)
    assert await yard.number("ZCOUNT", yard.keys.lease, "2", "+inf") == 1100


async def test_a_beat_brings_an_order_until_it_is_answered(yard: Yard, holder: Holder) -> None:
    heartbeat, order = holder.heartbeat(), WorkerOrder(act="scale", concurrency=7, by="anna", reason="why not")
    keys = yard.broker.keys
    give = partial(worker_order.give, keys, STATE.host, STATE.pid, STATE.server_id, life=timedelta(seconds=30))
    assert await yard.broker.run(give(order)) == worker_order.NO_SERVER, "the server has no record yet"
    await asyncio.to_thread(heartbeat.beat)
    assert holder.orders.read == []
    assert await yard.broker.run(give(order)) == worker_order.GIVEN
    for _ in range(2):  # the first reply may be lost
        holder.orders.read.clear()
        await asyncio.to_thread(heartbeat.beat)
        [(order_id, data)] = holder.orders.read
        assert WorkerOrder.from_json(order_id, data) == order
    holder.orders.read.clear()
    holder.orders.answers[order.id] = "done"
    await asyncio.to_thread(heartbeat.beat)
    orders_key = keys.orders(STATE.host, STATE.pid, STATE.server_id)
    assert await yard.execute("HGET", orders_key, worker_order.answer_field(order.id)) == b"done"
    assert int(await yard.execute("TTL", orders_key)) > 0
    assert (holder.orders.read, holder.orders.answers) == ([], {})


async def test_a_beat_does_not_bring_an_order_that_has_expired(yard: Yard, holder: Holder) -> None:
    heartbeat, order = holder.heartbeat(), WorkerOrder(act="stop")
    await asyncio.to_thread(heartbeat.beat)
    orders_key = yard.broker.keys.orders(STATE.host, STATE.pid, STATE.server_id)
    await yard.execute("HSET", orders_key, order.id, b"%d %s" % (int(await yard.now()) - 1, order.to_json()))
    await asyncio.to_thread(heartbeat.beat)
    assert holder.orders.read == []
    assert await yard.execute("EXISTS", orders_key) == 0


async def test_the_last_answers_reach_the_server_with_the_end_of_the_records(yard: Yard, holder: Holder) -> None:
    heartbeat = holder.heartbeat()
    await asyncio.to_thread(heartbeat.beat)
    holder.orders.answers["o1"] = "done"
    await asyncio.to_thread(heartbeat.clear)
    orders_key = yard.broker.keys.orders(STATE.host, STATE.pid, STATE.server_id)
    assert await yard.execute("HGET", orders_key, worker_order.answer_field("o1")) == b"done"
    assert int(await yard.execute("TTL", orders_key)) > 0


async def test_a_server_gets_no_more_orders_while_a_hundred_wait(yard: Yard, holder: Holder) -> None:
    await asyncio.to_thread(holder.heartbeat().beat)
    calls = [
        worker_order.give(
            yard.broker.keys, STATE.host, STATE.pid, STATE.server_id, WorkerOrder(act="quiet"), timedelta(seconds=30)
        )
        for _ in range(101)
    ]
    replies = [await yard.broker.run(call) for call in calls]
    assert replies == [*[worker_order.GIVEN] * 100, worker_order.TOO_MANY]
