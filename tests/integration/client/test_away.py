"""A broker that goes away and comes back, as a producer sees it: wait, fail at once, or buffer."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from rota.broker import Broker, BrokerOptions
from rota.client import Client, SyncClient
from rota.errors import BrokerUnavailable, BufferFull, EnqueueError, ResultTimeout, TaskIdConflict, TaskStateError
from rota.policy import Debounce
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.cut import LosesReplies
from tests.servers.overseen import Overseen
from tests.servers.process import Server

SHORT = BrokerOptions(retry_for=timedelta(milliseconds=200), response_timeout=timedelta(seconds=5))


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that keeps its data over a kill."""
    server = Server(config={"appendonly": "yes", "appendfsync": "always"}).start()
    yield server
    server.stop()


@pytest.fixture
async def broker(server: Server) -> AsyncIterator[Overseen]:
    async with Overseen.from_url(server.unix_url, options=SHORT) as broker:
        yield broker


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    client = Client(broker)
    await client.enqueue(plan(queue="warm"))
    yield client
    await client.aclose()


@pytest.fixture
def buffering(client: Client) -> Client:
    return client.sending(when_away="buffer")


async def test_waiting_ends_after_the_time_for_it(client: Client, server: Server) -> None:
    server.kill()
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        await client.enqueue(plan())
    assert time.monotonic() - started < 10


async def test_waiting_sees_the_broker_return(server: Server) -> None:
    patient = BrokerOptions(retry_for=timedelta(seconds=20))
    async with Broker.from_url(server.unix_url, options=patient) as broker:
        client = Client(broker)
        await client.enqueue(plan())
        server.kill()
        job = asyncio.create_task(client.enqueue(plan()))
        await asyncio.sleep(0)
        await asyncio.to_thread(server.start)
        assert (await job).created


async def test_failing_does_not_wait_at_all(server: Server) -> None:
    patient = BrokerOptions(retry_for=timedelta(seconds=20))
    async with Broker.from_url(server.unix_url, options=patient) as broker:
        client = Client(broker).sending(when_away="fail")
        await client.enqueue(plan())
        server.kill()
        started = time.monotonic()
        for _ in range(5):
            with pytest.raises(BrokerUnavailable):
                await client.enqueue(plan())
        assert time.monotonic() - started < 10  # each would be tried for 20 s
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(10):
            while True:
                try:
                    await client.enqueue(plan())
                    break
                except BrokerUnavailable:
                    await asyncio.sleep(0)


async def test_with_a_broker_that_answers_a_buffer_is_not_seen(server: Server) -> None:
    patient = BrokerOptions(retry_for=timedelta(seconds=20))
    async with Overseen.from_url(server.unix_url, options=patient) as broker:
        buffering = Client(broker).sending(when_away="buffer")
        job = await buffering.enqueue(plan(delay="1h"))
        assert (job.state, job.created, buffering.buffered) == ("scheduled", True, 0)
        with pytest.raises(TaskIdConflict):
            await buffering.enqueue(plan(task_id=job.id))
        debounced = await buffering.enqueue(plan(debounce=Debounce("k", "1h")))
        assert (await buffering.enqueue(plan(debounce=Debounce("k", "1h")))).id == debounced.id
        results = await buffering.enqueue_many(plan(str(i).encode(), queue=f"q{i % 3}") for i in range(900))
        assert all(result.state == "pending" for result in results)  # type: ignore[union-attr]
        for i in range(3):
            assert len(await Desk(broker, f"q{i}").ids("pending")) == 300
        assert await buffering.aclose() == []


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_buffered_tasks_are_sent_in_order_and_once(
    buffering: Client, broker: Broker, server: Server, fault: str
) -> None:
    await buffering.enqueue(plan(queue="warm"))
    assert await buffering.flush("20s")  # 200 ms may be too short for a busy machine, which buffers it
    getattr(server, fault)()
    jobs = [await buffering.enqueue(plan(str(i).encode())) for i in range(1200)]
    jobs += await buffering.enqueue_many(plan(str(i).encode()) for i in range(1200, 1300))  # type: ignore[arg-type]
    assert {job.state for job in jobs} == {"buffered"}
    assert buffering.buffered == 1300
    if fault == "kill":
        await asyncio.to_thread(server.start)
    else:
        server.thaw()
    assert await buffering.flush("20s")
    assert list(reversed(await Desk(broker).ids("pending"))) == [job.id for job in jobs]
    assert {job.state for job in jobs} == {"pending"}
    assert buffering.buffered == 0
    async with asyncio.timeout(20):
        while (await buffering.enqueue(plan())).state != "pending":
            assert await buffering.flush("20s")


async def test_a_broker_that_hangs_holds_up_nobody_for_longer_than_the_time_for_it(server: Server) -> None:
    slow = BrokerOptions(retry_for=timedelta(milliseconds=200), response_timeout=timedelta(seconds=30))
    async with Broker.from_url(server.unix_url, options=slow) as broker:
        buffering = Client(broker).sending(when_away="buffer")
        await buffering.enqueue(plan())
        assert await buffering.flush("20s")
        server.freeze()
        started = time.monotonic()
        jobs = await asyncio.gather(*(buffering.enqueue(plan()) for _ in range(150)))
        # Neither a reply's time, nor the time of each after the other: 30 s.
        assert time.monotonic() - started < 15
        assert {job.state for job in jobs} == {"buffered"}
        server.thaw()
        assert await buffering.aclose() == []


async def test_a_full_buffer_refuses_before_it_accepts(client: Client, broker: Broker, server: Server) -> None:
    small = client.sending(when_away="buffer", buffer_max=3)
    server.kill()
    for _ in range(3):
        await small.enqueue(plan())
    with pytest.raises(BufferFull, match=r"not accepted: the broker is away, and the buffer is full with 3 tasks"):
        await small.enqueue(plan())
    await asyncio.to_thread(server.start)
    assert await small.flush("20s")
    assert len(await Desk(broker).ids("pending")) == 3


async def test_a_full_buffer_is_no_error_while_the_broker_answers(server: Server) -> None:
    patient = BrokerOptions(retry_for=timedelta(seconds=20))
    async with Overseen.from_url(server.unix_url, options=patient) as broker:
        small = Client(broker).sending(when_away="buffer", buffer_max=3)
        await asyncio.gather(*(small.enqueue(plan()) for _ in range(500)))
        assert len(await Desk(broker).ids("pending")) == 500
        assert await small.aclose() == []


async def test_closing_gives_back_what_could_not_be_sent(
    client: Client, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    hasty = client.sending(when_away="buffer", flush_timeout="100ms")
    server.kill()
    plans = [plan(b"1"), plan(b"2")]
    jobs = [await hasty.enqueue(each) for each in plans]
    with caplog.at_level(logging.ERROR):
        assert await hasty.aclose() == plans
    assert f"2 buffered tasks were not sent before the client was closed: t {jobs[0].id}" in caplog.text
    with pytest.raises(EnqueueError, match="was not sent"):
        await jobs[0].result("1s")
    with pytest.raises(EnqueueError, match="client is closed"):
        await hasty.enqueue(plan())


async def test_closing_sends_what_can_be_sent(client: Client, broker: Broker, server: Server) -> None:
    buffering = client.sending(when_away="buffer", flush_timeout="20s")
    server.kill()
    job = await buffering.enqueue(plan())
    closing = asyncio.create_task(buffering.aclose())
    await asyncio.to_thread(server.start)
    assert await closing == []
    async with Overseen.from_url(server.unix_url) as other:
        assert await Desk(other).ids("pending") == [job.id]


async def test_a_result_waits_for_the_sending_too(buffering: Client, broker: Broker, server: Server) -> None:
    server.kill()
    job = await buffering.enqueue(plan(retention="1h"))
    with pytest.raises(ResultTimeout, match="was not even sent within"):
        await job.result("50ms")
    with pytest.raises(TaskStateError, match="is buffered: the broker does not have it yet"):
        await job.cancel()
    waiting = asyncio.create_task(job.result("20s"))
    await asyncio.to_thread(server.start)
    assert await buffering.flush("20s")
    desk = Desk(broker)
    assert await desk.take() == [job.id]
    await desk.end(job.id, "complete", seconds=60, text=b"42")
    assert await waiting == 42
    assert (await job.info()).state == "completed"


async def test_a_receipt_is_corrected_when_the_task_proves_a_duplicate(
    client: Client, buffering: Client, server: Server
) -> None:
    first = await client.enqueue(plan(b"x", unique="1h", delay="30m"))
    server.kill()
    second = await buffering.enqueue(plan(b"x", unique="1h"))
    assert (second.state, second.created) == ("buffered", True)
    await asyncio.to_thread(server.start)
    assert await buffering.flush("20s")
    assert (second.id, second.state, second.created) == (first.id, "scheduled", False)
    await second.run_now()
    assert (await client.info("default", first.id)).state == "pending"


async def test_a_refusal_that_nobody_waits_for_is_logged_and_kept_for_the_result(
    client: Client, buffering: Client, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(plan(task_id="mine"))
    server.kill()
    job = await buffering.enqueue(plan(task_id="mine"))
    await asyncio.to_thread(server.start)
    assert await buffering.flush("20s")
    assert "A buffered task was refused: The task t in queue 'default' was not enqueued: its ID 'mine'" in caplog.text
    with pytest.raises(TaskIdConflict):
        await job.result("1s")


async def test_a_task_that_was_over_before_its_reply_came_is_not_enqueued_again(
    server: Server, broker: Broker, client: Client
) -> None:
    async with LosesReplies(str(server.socket)) as proxy, Broker.from_url(proxy.url, options=SHORT) as shaky:
        buffering = Client(shaky).sending(when_away="buffer")
        await buffering.enqueue(plan(queue="warm"))
        buffering._published.note("default")
        desk, outbox = Desk(broker), buffering._outbox
        assert outbox is not None
        run, sent = outbox._broker.run, []

        async def run_late(call):  # type: ignore[no-untyped-def]
            if sent:
                [task_id] = await desk.take()
                await desk.end(task_id)
            sent.append(call)
            return await run(call)

        outbox._broker.run = run_late  # type: ignore[method-assign]
        proxy.losses = 1
        job = await buffering.enqueue(plan())
        assert await buffering.flush("20s")
        assert (len(sent), proxy.lost, job.created) == (2, 1, True)
        assert await desk.ids("pending") == await desk.ids("active") == []
        assert await broker.execute("EXISTS", desk.keys.task(job.id)) == 0
        [lane] = [lane for name, lane in outbox._lanes.items() if name == "default"]
        assert await broker.admin.execute("TTL", lane._sender._memory) > 80_000
        await buffering.aclose()


def test_blocking_code_buffers_in_a_thread(server: Server) -> None:
    with Broker.from_url(server.unix_url, options=SHORT).sync() as broker:
        client = SyncClient(broker).sending(when_away="buffer")
        client.enqueue(plan(queue="warm"))
        assert client.flush("20s")
        server.kill()
        job = client.enqueue(plan(b"0", retention="1h"))
        jobs = [job, *client.enqueue_many(plan(str(i).encode()) for i in range(1, 700))]
        assert {job.state for job in jobs} == {"buffered"}  # type: ignore[union-attr]
        assert client.buffered == 700
        with pytest.raises(ResultTimeout):
            job.result("50ms")
        with pytest.raises(TaskStateError):
            job.info()
        assert not client.flush("10ms")
        server.start()
        assert client.flush("20s")
        pending = broker.execute("LRANGE", broker.keys.queue("default").pending, 0, -1)
        assert [task_id.decode() for task_id in reversed(pending)] == [job.id for job in jobs]  # type: ignore[union-attr]
        assert job.state == "pending"
        assert client.close() == []


LEAVES = """
import os, signal, sys
from datetime import timedelta
from rota.broker import BrokerOptions, SyncBroker
from rota.client import SyncClient
from rota.enqueued import Plan

url, pid = sys.argv[1], int(sys.argv[2])
broker = SyncBroker.from_url(url, options=BrokerOptions(retry_for=timedelta(seconds=2)))
client = SyncClient(broker).sending(when_away="buffer", flush_timeout="20s")
client.enqueue(Plan("t", b"1"))
os.kill(pid, signal.SIGSTOP)
job = client.enqueue(Plan("t", b"2"))
child = os.fork()
if child == 0:
    os._exit(client.buffered or len(client.close()))
print(job.state, client.buffered, os.waitpid(child, 0)[1])
os.kill(pid, signal.SIGCONT)
"""


def test_a_program_that_ends_sends_what_it_has_buffered_and_its_forked_child_does_not(server: Server) -> None:
    assert server.process is not None
    words = [sys.executable, "-c", LEAVES, server.unix_url, str(server.process.pid)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=40)
    assert (ended.stdout, ended.returncode) == ("buffered 1 0\n", 0)
    assert ended.stderr == "Tasks for queue 'default' are buffered: the broker does not answer.\n"
    with server.admin() as admin:
        assert admin.llen("asynq:{default}:pending") == 2


def test_blocking_code_gets_back_what_could_not_be_sent(server: Server) -> None:
    with Broker.from_url(server.unix_url, options=SHORT).sync() as broker:
        client = SyncClient(broker).sending(when_away="buffer", flush_timeout="50ms", buffer_max=2)
        server.kill()
        plans = [plan(b"1"), plan(b"2")]
        for each in plans:
            client.enqueue(each)
        with pytest.raises(BufferFull):
            client.enqueue(plan())
        assert client.close() == plans


def test_blocking_code_fails_at_once_where_asked(server: Server) -> None:
    patient = BrokerOptions(retry_for=timedelta(seconds=20))
    with Broker.from_url(server.unix_url, options=patient).sync() as broker:
        client = SyncClient(broker).sending(when_away="fail")
        server.kill()
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            client.enqueue(plan())
        assert time.monotonic() - started < 10  # it would be tried for 20 s
