"""Enqueueing one task: what is stored, with every option."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from rota.broker import Broker
from rota.client import Client
from rota.errors import BrokerRefused, OptionError, TaskIdConflict
from rota.tasks.job import TaskState
from rota.wire.message import pack
from tests.integration.client.conftest import Desk, plan
from tests.servers.overseen import Overseen


async def test_a_plain_task_is_pending_in_asynqs_layout(client: Client, desk: Desk) -> None:
    before = await desk.now()
    job = await client.enqueue(plan(b'{"a":1}'))
    stored = await desk.hash(job.id)
    assert (job.queue, job.type, job.state, job.created) == ("default", "t", TaskState.PENDING, True)
    assert set(stored) == {"msg", "state", "pending_since"}
    assert stored["msg"] == pack("t", b'{"a":1}', job.id)
    assert before - 0.001 <= int(stored["pending_since"]) / 1e9 <= await desk.now()
    assert len(stored["pending_since"]) == 19, "nanoseconds, without the rounding of a double"
    assert await desk.ids("pending") == [job.id]
    assert await desk.broker.admin.execute("SMEMBERS", "asynq:queues") in ([b"default"], {b"default"})


async def test_queue_is_listed_again_within_seconds_after_the_database_was_flushed(client: Client, desk: Desk) -> None:
    await client.enqueue(plan())
    await desk.broker.admin.execute("DEL", "asynq:queues")
    async with asyncio.timeout(30):
        while not await desk.broker.admin.execute("SISMEMBER", "asynq:queues", "default"):
            await client.enqueue(plan())
            await asyncio.sleep(0.05)


async def test_ids_are_ascending_uuids_of_version_7(client: Client) -> None:
    made = [(await client.enqueue(plan())).id for _ in range(300)]
    assert made == sorted(set(made))
    assert all(uuid.UUID(task_id).version == 7 and str(uuid.UUID(task_id)) == task_id for task_id in made)


async def test_tasks_wait_in_the_order_in_which_they_came(client: Client, desk: Desk) -> None:
    made = [(await client.enqueue(plan())).id for _ in range(5)]
    assert await desk.take() == made


async def test_every_option_that_is_part_of_the_message_reaches_it(client: Client, broker: Overseen) -> None:
    deadline = datetime(2030, 1, 2, tzinfo=UTC)
    job = await client.enqueue(
        plan(queue="mail", max_retry=0, timeout="90s", deadline=deadline, retention="1h", headers={"h": "w"})
    )
    message = await Desk(broker, "mail").message(job.id)
    assert (message.queue, message.retry, message.timeout, message.retention) == ("mail", 0, 90, 3600)
    assert message.deadline == int(deadline.timestamp())
    assert dict(message.headers) == {"h": "w"}


async def test_a_delay_is_counted_from_the_servers_clock_and_keeps_its_fraction(client: Client, desk: Desk) -> None:
    before = await desk.now()
    job = await client.enqueue(plan(delay="2.25s"))
    assert job.state is TaskState.SCHEDULED
    assert before + 2.25 <= await desk.score("scheduled", job.id) + 1e-5 <= await desk.now() + 2.26
    assert set(await desk.hash(job.id)) == {"msg", "state"}


async def test_process_at_is_rounded_up_to_milliseconds(client: Client, desk: Desk) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=123_000)
    for late, milliseconds in ((0, 123), (1, 123), (500, 124), (999, 124)):  # 10 us early is as exact as the clock
        job = await client.enqueue(plan(process_at=at + timedelta(microseconds=late)))
        assert await desk.score("scheduled", job.id) == int(at.timestamp()) + milliseconds / 1000


async def test_scores_are_written_without_an_exponent(client: Client, desk: Desk) -> None:
    """Valkey writes these times as 1.99e+9, for which Asynq's inspector shows an error instead of the page."""
    for micros in (5_144, 22_349, 39_554, 107_005, 124_210, 141_415, 208_866, 226_071):
        await client.enqueue(plan(process_at=datetime(2033, 4, 14, 9, 48, 29, micros, tzinfo=UTC)))
    key = desk.keys.scheduled
    row = await desk.broker.admin.execute("EVAL", "return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')", 1, key)
    assert len(row) == 2 * 8
    assert [score for score in row[1::2] if b"e" in score] == []


@pytest.mark.parametrize("words", [{"process_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"delay": 0}])
async def test_a_time_that_has_passed_means_now(client: Client, desk: Desk, words: dict[str, object]) -> None:
    job = await client.enqueue(plan(**words))
    assert job.state is TaskState.PENDING
    assert await desk.ids("pending") == [job.id]


async def test_a_group_collects_its_tasks(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(group="news"))
    assert job.state is TaskState.AGGREGATING
    assert (await desk.hash(job.id))["group"] == b"news"
    assert await desk.ids("g:news") == [job.id]
    assert await desk.groups() == {"news"}


async def test_a_scheduled_task_of_a_group_joins_it_when_due(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(group="news", delay="1h"))
    assert job.state is TaskState.SCHEDULED
    await client.reschedule("default", job.id, datetime(2020, 1, 1, tzinfo=UTC))
    assert await desk.take() == []
    assert await desk.ids("g:news") == [job.id]
    assert await desk.groups() == {"news"}


async def test_an_id_can_be_chosen_and_is_taken_in_every_state(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(task_id="mine", retention="1h"))
    assert job.id == "mine"
    for step in (None, desk.take(), desk.end("mine", "complete", seconds=60)):
        if step is not None:
            await step
        with pytest.raises(TaskIdConflict, match="'mine' is taken by a task that is"):
            await client.enqueue(plan(task_id="mine", retention="1h"))
    assert (await client.enqueue(plan(task_id="mine", queue="other"))).created


async def test_a_refused_id_leaves_nothing_behind(client: Client, desk: Desk) -> None:
    await client.enqueue(plan(task_id="mine"))
    before = await desk.broker.admin.execute("DBSIZE")
    with pytest.raises(TaskIdConflict):
        await client.enqueue(plan(b"other", task_id="mine", unique="10m"))
    assert await desk.broker.admin.execute("DBSIZE") == before
    assert await desk.locks() == [], "Asynq keeps the lock it took before it looked at the id"


async def test_a_text_that_is_no_utf8_is_refused_before_anything_is_sent(client: Client, desk: Desk) -> None:
    with pytest.raises(OptionError, match="valid UTF-8"):
        await client.enqueue(plan(headers={"h": "\ud800"}))
    assert await desk.broker.admin.execute("DBSIZE") == 0


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("pending", {}),
        ("pending", {"task_id": "x", "unique": "10m"}),
        ("scheduled", {"delay": "1h"}),
        ("g:news", {"group": "news", "unique": "10m"}),
        ("groups", {"group": "news"}),
        ("t:x", {"task_id": "x"}),
    ],
)
async def test_a_key_of_another_type_leaves_nothing_half_written(
    client: Client, desk: Desk, key: str, words: dict[str, object]
) -> None:
    await client.enqueue(plan(queue="other"))
    await desk.broker.admin.execute("SADD", "asynq:queues", "default")
    await desk.broker.admin.execute("SET", f"{desk.keys.base}{key}", "not ours")
    before = sorted(await desk.broker.admin.execute("KEYS", "asynq:*"))
    with pytest.raises((BrokerRefused, TaskIdConflict)) as caught:
        await client.enqueue(plan(**words))
    assert "WRONGTYPE" in str(caught.value)
    assert sorted(await desk.broker.admin.execute("KEYS", "asynq:*")) == before


async def test_the_name_of_a_queue_is_published_again_after_a_while(
    client: Client, broker: Overseen, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.enqueue(plan())
    await broker.admin.execute("DEL", "asynq:queues")
    await client.enqueue(plan())
    assert await broker.admin.execute("EXISTS", "asynq:queues") == 0
    for module in ("core", "asynchronous"):
        monkeypatch.setattr(f"rota.client.{module}.monotonic", lambda: 1e12)
    await client.enqueue(plan())
    assert await broker.admin.execute("SISMEMBER", "asynq:queues", "default") == 1


async def test_scripts_survive_a_flush_of_the_servers_cache(client: Client, broker: Overseen, desk: Desk) -> None:
    await client.enqueue(plan())
    await broker.admin.execute("SCRIPT", "FLUSH")
    await client.enqueue(plan())
    await broker.admin.execute("SCRIPT", "FLUSH")
    results = await client.enqueue_many([plan(), plan(delay="1h", queue="other")])
    assert [result.created for result in results] == [True, True]
    assert len(await desk.ids("pending")) == 3


async def test_another_key_prefix_is_another_world(any_url: str, broker: Overseen) -> None:
    from rota.broker import BrokerOptions

    async with Broker.from_url(any_url, options=BrokerOptions(key_prefix="shop")) as apart:
        job = await Client(apart).enqueue(plan(unique="10m", group="g", delay="1h"))
        assert (await Client(apart).info("default", job.id)).state is TaskState.SCHEDULED
    names = [name.decode() for name in await broker.admin.execute("KEYS", "*")]
    assert names
    assert all(name.startswith("shop:") for name in names)


async def test_enqueues_at_the_same_time_are_all_there_once_and_in_order(client: Client, desk: Desk) -> None:
    jobs = await asyncio.gather(*(client.enqueue(plan(str(i).encode())) for i in range(300)))
    assert all(job.created for job in jobs)
    waiting = (await desk.ids("pending"))[::-1]
    assert waiting == [job.id for job in jobs]
    assert (await desk.message(waiting[7])).payload == b"7"
