"""The blocking face: the same acts, the same errors."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
import redis

from rota.broker import BrokerOptions, SyncBroker
from rota.client import SyncClient
from rota.errors import (
    DuplicateTask,
    ResultNotKept,
    ResultTimeout,
    TaskCancelled,
    TaskIdConflict,
    TaskNotFound,
    TaskStateError,
)
from rota.tasks.job import TaskState
from rota.tasks.policy import Debounce, Unique
from rota.wire.fetch import fetch
from rota.wire.outcome import Outcome, record
from tests.integration.client.conftest import plan
from tests.servers import clients
from tests.servers.overseen import Overseen
from tests.servers.process import wait_until
from tests.servers.roles import as_role, make_user

TOKEN = "token-1"


@pytest.fixture
def broker(any_url: str) -> Iterator[SyncBroker]:
    with SyncBroker.from_url(any_url) as broker:
        yield broker


@pytest.fixture
def client(any_url: str) -> Iterator[SyncClient]:
    with SyncBroker.from_url(as_role(any_url, "producer")) as broker:
        yield SyncClient(broker)


@pytest.fixture
def raw(any_url: str) -> Iterator[redis.Redis]:
    with clients.client(any_url) as raw:
        yield raw


def run(broker: SyncBroker, result: bytes) -> None:
    """Take one task and complete it, as a worker does."""
    keys = broker.keys.queue("default")
    fetched = broker.run(fetch([(keys, 1)], token=TOKEN, wanted=1, lease_seconds=30))
    outcome = Outcome(fetched.batches[0].tasks[0].decode(), TOKEN, "complete", seconds=60, text=result)
    assert not broker.run(record(keys, [outcome]))


def test_every_way_to_enqueue(client: SyncClient) -> None:
    assert client.enqueue(plan()).state is TaskState.PENDING
    assert client.enqueue(plan(delay="1h")).state is TaskState.SCHEDULED
    assert client.enqueue(plan(group="g")).state is TaskState.AGGREGATING
    assert client.enqueue(plan(debounce=Debounce("k", "1s"))).created
    first = client.enqueue(plan(unique="10m"))
    assert client.enqueue(plan(unique="10m")).id == first.id
    with pytest.raises(DuplicateTask):
        client.enqueue(plan(unique=Unique("10m", on_conflict="raise")))
    client.enqueue(plan(task_id="mine"))
    with pytest.raises(TaskIdConflict):
        client.enqueue(plan(task_id="mine"))


def test_every_change(client: SyncClient) -> None:
    job = client.enqueue(plan(b"old", retention="1h"))
    job.update_payload(b"new")
    job.reschedule("1h")
    assert (job.info().payload, job.info().state) == (b"new", TaskState.SCHEDULED)
    job.run_now()
    assert job.info().state is TaskState.PENDING
    job.cancel("enough")
    assert (job.info().state, job.info().end) == (TaskState.ARCHIVED, "cancelled")
    with pytest.raises(TaskStateError):
        job.reschedule("1h")
    with pytest.raises(TaskCancelled, match="enough"):
        job.result()
    client.delete("default", job.id)
    with pytest.raises(TaskNotFound):
        job.info()


def test_a_result_comes_by_message(client: SyncClient, broker: SyncBroker, raw: redis.Redis) -> None:
    job = client.enqueue(plan(retention="1h"))

    def end() -> None:
        wait_until(lambda: raw.hget(f"asynq:{{default}}:t:{job.id}", "rota_wait"))
        run(broker, b'{"a":1}')

    worker = threading.Thread(target=end)
    worker.start()
    assert job.result(timeout="20s") == {"a": 1}
    worker.join()


def test_a_lost_subscription_does_not_end_the_wait(client: SyncClient, raw: redis.Redis, any_url: str) -> None:
    job = client.enqueue(plan(retention="1h"))

    async def cut() -> int:
        async with Overseen.from_url(any_url) as broker:
            return await broker.admin.cut_listeners()

    def cut_and_end() -> None:
        wait_until(lambda: raw.hget(f"asynq:{{default}}:t:{job.id}", "rota_wait"))
        assert asyncio.run(cut()) == 1
        raw.hset(f"asynq:{{default}}:t:{job.id}", mapping={"state": "completed", "result": b"1"})

    worker = threading.Thread(target=cut_and_end)
    worker.start()
    assert job.result(timeout="30s") == 1
    worker.join()


def test_a_task_without_retention_says_at_once_that_it_keeps_no_result(client: SyncClient) -> None:
    job = client.enqueue(plan())
    with pytest.raises(ResultNotKept):
        job.result()
    with pytest.raises(ResultNotKept):
        client.result("default", job.id)


def test_a_result_that_is_there_is_read_at_once(client: SyncClient, broker: SyncBroker) -> None:
    job = client.enqueue(plan(retention="1h"))
    run(broker, b"1")
    assert job.result() == 1


def test_a_wait_ends_in_time(client: SyncClient) -> None:
    job = client.enqueue(plan(retention="1h"))
    with pytest.raises(ResultTimeout, match="it is pending"):
        job.result(timeout="1s")


@pytest.mark.forbids
def test_without_the_right_to_subscribe_looking_is_enough(
    client: SyncClient, broker: SyncBroker, raw: redis.Redis, any_url: str
) -> None:
    user = f"reader-{id(client)}"
    make_user(raw, user, "on", ">secret", "~*", "+@all", "resetchannels")
    options = BrokerOptions(username=user, password="secret")
    with SyncBroker.from_url(any_url, options=options) as poor:
        job = client.enqueue(plan(retention="1h"))
        run(broker, b"1")
        assert SyncClient(poor).result("default", job.id, "20s") == b"1"


def test_threads_share_a_client(client: SyncClient, raw: redis.Redis) -> None:
    def send() -> None:
        for _ in range(50):
            client.enqueue(plan())

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waiting = raw.lrange("asynq:{default}:pending", 0, -1)
    assert len(waiting) == len(set(waiting)) == 400
