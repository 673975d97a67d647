"""The connections of an app: one client for each event loop, closed with its loop."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from rota import BrokerUnavailable, Rota
from rota.client.connections import Connections
from tests.servers.process import Server, wait_until

Factory = Callable[[], asyncio.AbstractEventLoop]
LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


@pytest.fixture
def app(redis_url: str) -> Iterator[Rota]:
    with Rota(redis_url) as app:
        yield app


def sockets() -> int:
    """How many sockets this process has open, without those that earlier tests left to the garbage collector."""
    gc.collect()
    return sum("socket:" in os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())


def clients_of(app: Rota) -> int:
    connections: Connections = app._connections
    return len(connections._clients)


@LOOPS
def test_a_loop_that_shuts_down_closes_its_client(app: Rota, new_loop: Factory) -> None:
    before = sockets()
    for number in range(30):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(app.enqueue("t", number)).created
        assert clients_of(app) == 0
    assert sockets() == before


@LOOPS
def test_a_loop_that_is_just_closed_leaves_one_client_at_most(app: Rota, new_loop: Factory) -> None:
    before = sockets()
    for number in range(30):
        loop = new_loop()
        loop.run_until_complete(app.enqueue("t", number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # uvloop tells of each open connection
            loop.close()
        assert clients_of(app) == 1
        if number % 10 == 9:  # to count takes up to a second after other tests
            assert sockets() <= before + 2  # uvloop closes its own, asyncio leaves the last one and its subscription
    asyncio.run(app.enqueue("t", "last"))
    assert (clients_of(app), sockets()) == (0, before)


def test_a_block_of_the_app_closes_the_client_of_its_loop(app: Rota) -> None:
    async def main() -> int:
        async with app as entered:
            assert entered is app
            await app.enqueue("t")
            assert clients_of(app) == 1
        return clients_of(app)

    assert asyncio.run(main()) == 0


def test_an_app_can_be_used_again_after_its_block(app: Rota) -> None:
    async def main() -> None:
        for _ in range(2):
            async with app:
                assert (await app.enqueue("t")).created
        assert (await app.enqueue("t")).created

    asyncio.run(main())


def test_closing_the_clients_of_a_loop_leaves_those_of_other_loops_and_threads(app: Rota) -> None:
    asked, closed, outcomes = threading.Event(), threading.Event(), []

    async def other() -> None:
        client = app.client
        await app.enqueue("t")
        asked.set()
        await asyncio.to_thread(closed.wait, 30)
        outcomes.append((await app.enqueue("t")).created and app.client is client)

    async def main() -> None:
        await app.enqueue("t")
        await asyncio.to_thread(asked.wait, 30)
        await app.aclose()

    blocking = app.sync_client
    blocking.enqueue(app.plan("t"))
    thread = threading.Thread(target=asyncio.run, args=(other(),))
    thread.start()
    asyncio.run(main())
    closed.set()
    thread.join()
    assert outcomes == [True]
    assert app.sync_client is blocking
    assert blocking.enqueue(app.plan("t")).created


@pytest.mark.parametrize("freeze", [False, True], ids=["server answers", "server is frozen"])
async def test_closing_holds_up_neither_the_loop_nor_the_calls_of_a_thread(freeze: bool) -> None:
    """It closed the blocking client of the threads too, and the loop stood still for five seconds."""
    server, gaps = Server().start(), [0.0]
    app = Rota(server.unix_url, settings={"response_timeout": "3s", "connect_timeout": "3s", "retry_for": "1s"})

    async def turn() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - began)

    try:
        job = await app.enqueue("t", retention="1h")
        waiting = asyncio.create_task(asyncio.to_thread(app.sync_client.result, job.queue, job.id, "3s"))
        with server.client() as raw:
            await asyncio.to_thread(wait_until, lambda: len(raw.client_list()) >= 3)  # ours, the loop's, the thread's
        turning = asyncio.create_task(turn())
        if freeze:
            server.freeze()
        await app.aclose()
        assert not waiting.done()
        turning.cancel()
        assert max(gaps) < 2.5
        with pytest.raises(TimeoutError if not freeze else (TimeoutError, BrokerUnavailable)):
            await waiting
    finally:
        app.close()
        server.thaw()
        server.stop()


def test_loops_of_many_threads_come_and_go_at_once(app: Rota) -> None:
    before, faults = sockets(), []

    def run() -> None:
        try:
            for number in range(20):
                assert asyncio.run(app.enqueue("t", number)).created
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert faults == []
    assert (clients_of(app), sockets()) == (0, before)


def test_a_block_of_blocking_code_closes_the_blocking_connections(redis_url: str) -> None:
    before = sockets()
    with Rota(redis_url) as app:
        app.enqueue_sync("t")
        assert sockets() > before  # a Cluster has several servers
    assert sockets() == before


PROGRAMS = {
    "no block": "asyncio.run(task.enqueue())",
    "a block": "async def main():\n    async with app:\n        await task.enqueue()\nasyncio.run(main())",
    "result": "async def main():\n    job = await task.enqueue()\n    try:\n        await job.result('50ms')\n"
    "    except TimeoutError:\n        pass\nasyncio.run(main())",
    "blocking": "task.enqueue_sync()",
    "both": "task.enqueue_sync()\nasyncio.run(task.enqueue())\nasyncio.run(task.enqueue())",
    "threads": "threads = [threading.Thread(target=task.enqueue_sync) for _ in range(5)]\n"
    "[each.start() for each in threads]\n[each.join() for each in threads]",
    "replicas": "async def main():\n    await app.client.sending(wait_replicas=1, wait_replicas_timeout='10ms',"
    " replicas_missing='warn').enqueue(task.plan())\nasyncio.run(main())",
    "an error": "async def main():\n    await app.enqueue('t', unique='0s')\n"
    "try:\n    asyncio.run(main())\nexcept ValueError:\n    asyncio.run(task.enqueue())",
}
HEAD = (
    "import asyncio, threading\nfrom rota import Rota\napp = Rota()\n"
    "@app.task('t', retention='1m')\nasync def task(): ...\n"
)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that_closes_nothing_gets_no_warning(redis_url: str, program: str) -> None:
    words = [sys.executable, "-X", "dev", "-W", "error", "-c", HEAD + program]
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=120, env={**os.environ, "ROTA_URL": redis_url}
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert "Warning" not in ended.stderr, ended.stderr
    assert "Error" not in ended.stderr, ended.stderr


@pytest.mark.parametrize("example", ["hello", "embedding", "face"])
def test_an_example_gets_no_warning(redis_url: str, example: str) -> None:
    words = [sys.executable, "-X", "dev", "-W", "error", "-m", f"examples.{example}"]
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=120, env={**os.environ, "ROTA_URL": redis_url}
    )
    assert ended.returncode == 0, ended.stderr
    assert "Warning" not in ended.stderr, ended.stderr


async def test_a_receipt_that_is_used_after_its_connections_were_closed_says_what_to_do(app: Rota) -> None:
    job = await app.enqueue("t", 1, retention="10m")
    await app.aclose()

    with pytest.raises(BrokerUnavailable, match=r"were closed, by `aclose\(\)`.*`await app.client.result\("):
        await job.info()
    with pytest.raises(BrokerUnavailable, match="were closed"):
        await job.result(timeout="5s")
    assert (await app.client.info(job.queue, job.id)).id == job.id
    await app.aclose()
