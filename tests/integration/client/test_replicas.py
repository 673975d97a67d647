"""Enqueues that count only once replicas have them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from rota.broker import Broker, BrokerOptions
from rota.client import Client, SyncClient
from rota.errors import ConfigError, NotReplicated, OptionError
from rota.tasks.job import Job
from rota.tasks.policy import Debounce
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.cut import LosesReplies
from tests.servers.fleet import ClusterFleet
from tests.servers.overseen import Overseen
from tests.servers.process import Server, valkey_binary, wait_until


class Pair:
    """A master and its replica."""

    def __init__(self, binary: str = "redis-server") -> None:
        self.master = Server(binary, config={"repl-diskless-sync-delay": 0}).start()
        self.replica = Server(binary, lines=f"replicaof 127.0.0.1 {self.master.port}\n").start()
        wait_until(self._is_in_step)

    def _is_in_step(self) -> bool:
        with self.replica.admin() as client:
            return client.info("replication")["master_link_status"] == "up"

    def stop(self) -> None:
        for server in (self.replica, self.master):
            server.stop()


@pytest.fixture(scope="module")
def module_pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.stop()


@pytest.fixture(scope="module")
def module_valkey() -> Iterator[Pair]:
    pair = Pair(valkey_binary())
    yield pair
    pair.stop()


@pytest.fixture
def valkey(module_valkey: Pair) -> Iterator[Pair]:
    """Its `WAIT` counts from the last write of the connection, as Redis' does from 7.2 on; older ones from now."""
    yield module_valkey
    module_valkey.replica.thaw()


@pytest.fixture
def pair(module_pair: Pair) -> Iterator[Pair]:
    with module_pair.master.admin() as admin:
        admin.flushall()
        wait_until(lambda: admin.execute_command("WAIT", 1, 1000) == 1)
    yield module_pair
    module_pair.replica.thaw()


@pytest.fixture
async def broker(pair: Pair) -> AsyncIterator[Overseen]:
    async with Overseen.from_url(pair.master.unix_url) as broker:
        yield broker


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    client = Client(broker)
    yield client
    await client.aclose()


async def test_the_replica_has_what_was_enqueued(client: Client, pair: Pair) -> None:
    sure = client.sending(wait_replicas=1, wait_replicas_timeout="9s")
    jobs = await asyncio.gather(*(sure.enqueue(plan(str(i).encode())) for i in range(200)))
    jobs += await sure.enqueue_many(plan(str(i).encode(), queue=f"q{i % 3}") for i in range(300))  # type: ignore[arg-type]
    jobs.append(await sure.enqueue(plan(delay="1h")))
    with pair.replica.admin() as admin:
        assert all(admin.exists(f"asynq:{{{job.queue}}}:t:{job.id}") for job in jobs)
    assert all(isinstance(job, Job) for job in jobs)


async def test_many_enqueues_at_once_share_a_wait(client: Client, pair: Pair) -> None:
    sure = client.sending(wait_replicas=1, wait_replicas_timeout="9s")
    await sure.enqueue(plan())
    with pair.master.admin() as admin:
        before = admin.info("commandstats")["cmdstat_wait"]["calls"]
        await asyncio.gather(*(sure.enqueue(plan(task_id=str(i))) for i in range(200)))
        assert admin.info("commandstats")["cmdstat_wait"]["calls"] - before <= 20


@pytest.mark.parametrize("words", [{}, {"delay": "1h"}, {"unique": "10m"}])
async def test_a_frozen_replica_is_an_error_that_says_that_the_task_is_there(
    client: Client, broker: Broker, pair: Pair, words: dict[str, object]
) -> None:
    sure = client.sending(wait_replicas=1, wait_replicas_timeout="100ms")
    pair.replica.freeze()
    with pytest.raises(NotReplicated, match=r"is enqueued, but only 0 of 1 replica had it within 100ms") as caught:
        await sure.enqueue(plan(**words))
    receipt = caught.value.enqueued
    assert caught.value.maybe_applied
    assert await broker.execute("EXISTS", Desk(broker).keys.task(receipt.id)) == 1
    assert isinstance(receipt, Job)
    assert (await receipt.info()).id == receipt.id


EVERY_WAY = [{}, {"task_id": "m", "delay": "1h"}, {"unique": "10m"}, {"debounce": Debounce("k", "10s")}]


@pytest.mark.parametrize("words", EVERY_WAY, ids=lambda words: " ".join(words) or "plain")
async def test_a_request_sent_again_waits_for_the_replica_as_the_first_one_did(
    valkey: Pair, words: dict[str, object]
) -> None:
    async with LosesReplies(str(valkey.master.socket)) as proxy, Broker.from_url(proxy.url) as broker:
        sure = Client(broker).sending(wait_replicas=1, wait_replicas_timeout="100ms")
        await sure.enqueue(plan(queue=uuid4().hex))
        valkey.replica.freeze()
        proxy.losses = 1
        with pytest.raises(NotReplicated, match="only 0 of 1 replica"):
            await sure.enqueue(plan(queue=uuid4().hex, **words))
        assert proxy.lost == 1
        await sure.aclose()


@pytest.mark.parametrize("words", EVERY_WAY, ids=lambda words: " ".join(words) or "plain")
async def test_blocking_code_that_sends_again_waits_for_the_replica_too(valkey: Pair, words: dict[str, object]) -> None:
    async with LosesReplies(str(valkey.master.socket)) as proxy:
        with Broker.from_url(proxy.url).sync() as broker:
            sure = SyncClient(broker).sending(wait_replicas=1, wait_replicas_timeout="100ms")
            await asyncio.to_thread(sure.enqueue, plan(queue=uuid4().hex))
            valkey.replica.freeze()
            proxy.losses = 1
            with pytest.raises(NotReplicated, match="only 0 of 1 replica"):
                await asyncio.to_thread(sure.enqueue, plan(queue=uuid4().hex, **words))
            assert proxy.lost == 1


async def test_many_on_a_frozen_replica_are_enqueued_and_said_to_be(client: Client, broker: Broker, pair: Pair) -> None:
    sure = client.sending(wait_replicas=1, wait_replicas_timeout="100ms")
    pair.replica.freeze()
    results = await sure.enqueue_many(plan(str(i).encode()) for i in range(20))
    assert [type(result) for result in results] == [NotReplicated] * 20
    assert len(await Desk(broker).ids("pending")) == 20
    results = [result async for result in sure.enqueue_stream([plan(task_id="x"), plan(task_id="y")])]
    assert [result.enqueued.id for result in results if isinstance(result, NotReplicated)] == ["x", "y"]


async def test_a_frozen_replica_holds_up_each_of_many_enqueues_but_not_one_after_the_other(
    client: Client, pair: Pair
) -> None:
    sure = client.sending(wait_replicas=1, wait_replicas_timeout="200ms")
    pair.replica.freeze()
    started = time.monotonic()
    errors = await asyncio.gather(*(sure.enqueue(plan()) for _ in range(150)), return_exceptions=True)
    assert all(isinstance(error, NotReplicated) for error in errors)
    assert time.monotonic() - started < 15  # 30 s, were it one after the other


async def test_a_warning_in_the_log_will_do_where_asked(
    client: Client, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    easy = client.sending(wait_replicas=2, wait_replicas_timeout="3s", replicas_missing="warn")
    with caplog.at_level(logging.WARNING):
        assert (await easy.enqueue(plan())).created
    assert "but only 1 of 2 replicas had it within 3s" in caplog.text


async def test_other_enqueues_do_not_wait_for_the_replica(client: Client, pair: Pair) -> None:
    sure = client.sending(wait_replicas=1, wait_replicas_timeout="9s")
    await sure.enqueue(plan())
    pair.replica.freeze()
    waiting = asyncio.create_task(sure.enqueue(plan()))
    await asyncio.sleep(0)
    await client.enqueue(plan())
    assert not waiting.done()
    pair.replica.thaw()
    assert (await waiting).created


async def test_a_user_who_may_not_wait_is_told(client: Client, pair: Pair) -> None:
    with pair.master.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "narrow", "on", ">p", "~*", "&*", "+@all", "-wait")
    async with Broker.from_url(f"redis://narrow:p@127.0.0.1:{pair.master.port}") as broker:
        sure = Client(broker).sending(wait_replicas=1, wait_replicas_timeout="9s")
        with pytest.raises(NotReplicated, match=r"it is unknown whether it is on 1 replica: .*WAIT"):
            await sure.enqueue(plan())
        with broker.sync() as sync, pytest.raises(NotReplicated, match="unknown"):
            await asyncio.to_thread(
                SyncClient(sync).sending(wait_replicas=1, wait_replicas_timeout="9s").enqueue, plan()
            )
        await sure.aclose()


def test_blocking_code_waits_too(pair: Pair) -> None:
    with Broker.from_url(pair.master.unix_url).sync() as broker:
        sure = SyncClient(broker).sending(wait_replicas=1, wait_replicas_timeout="9s")
        job = sure.enqueue(plan(retention="1h"))
        with pair.replica.admin() as admin:
            assert admin.exists(f"asynq:{{default}}:t:{job.id}")
        assert len(sure.enqueue_many(plan(str(i).encode()) for i in range(600))) == 600
        pair.replica.freeze()
        sure = sure.sending(wait_replicas_timeout="100ms")
        with pytest.raises(NotReplicated) as caught:
            sure.enqueue(plan(task_id="mine"))
        assert caught.value.enqueued.id == "mine"
        [result] = sure.enqueue_stream([plan(task_id="other")])
        assert isinstance(result, NotReplicated)


def test_words_that_contradict_each_other_are_refused(pair: Pair) -> None:
    with Broker.from_url(
        pair.master.unix_url, options=BrokerOptions(response_timeout=timedelta(seconds=1))
    ).sync() as b:
        client = SyncClient(b)
        with pytest.raises(OptionError, match="when_away is 'buffer'"):
            client.sending(when_away="buffer")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="must be shorter than response_timeout"):
            client.sending(wait_replicas=1, wait_replicas_timeout="1s")
        with pytest.raises(OptionError, match="Did you mean 'wait_replicas'"):
            client.sending(wait_replica=1)  # type: ignore[call-arg]


@pytest.mark.slow
async def test_on_a_cluster_each_node_is_asked_for_its_own_replicas(cluster: ClusterFleet) -> None:
    world = uuid4().hex
    async with Broker.from_url(cluster.url) as broker:
        sure = Client(broker).sending(wait_replicas=1, wait_replicas_timeout="9s")
        results = await sure.enqueue_many(plan(str(i).encode(), queue=f"{world}-{i % 12}") for i in range(600))
        assert all(isinstance(result, Job) for result in results)
        assert (await sure.enqueue(plan(queue=f"{world}-x"))).created
        replicas = [each for each in cluster.nodes if each not in cluster.masters()]
        for each in replicas:
            each.freeze()
        try:
            hasty = sure.sending(wait_replicas_timeout="100ms")
            with pytest.raises(NotReplicated):
                await hasty.enqueue(plan(queue=f"{world}-x"))
            results = [r async for r in hasty.enqueue_stream(plan(queue=f"{world}-{i % 12}") for i in range(24))]
            assert all(isinstance(result, NotReplicated) for result in results)
        finally:
            for each in replicas:
                each.thaw()
        with broker.sync() as sync:
            blocking = SyncClient(sync).sending(wait_replicas=1, wait_replicas_timeout="9s")
            blocked = await asyncio.to_thread(
                blocking.enqueue_many, [plan(queue=f"{world}-{i % 12}") for i in range(24)]
            )
            assert not any(isinstance(result, Exception) for result in blocked)
        await sure.aclose()
