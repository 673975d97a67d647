"""Many tasks at once: results in order, bounded memory, and the same state as one by one."""

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.broker import Broker, BrokerOptions, SyncBroker
from rota.client import Client, SyncClient
from rota.client import packing as packing_module
from rota.errors import (
    BrokerRefused,
    BrokerUnavailable,
    DuplicateTask,
    EnqueueError,
    OptionError,
    RotaError,
    TaskIdConflict,
)
from rota.tasks.job import Job, Plan, Receipt, TaskState
from rota.tasks.policy import Debounce, Unique
from rota.wire.proto import TaskMessage
from rota.wire.script import Call
from tests.integration.client.conftest import Desk, plan
from tests.servers import clients
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role


async def test_the_results_are_in_the_order_of_the_plans(client: Client, desk: Desk) -> None:
    await client.enqueue(plan(task_id="taken"))
    results = await client.enqueue_many(
        [
            plan(b"1"),
            plan(b"2", queue="other"),
            plan(b"3", delay="1h"),
            plan(b"4", task_id="taken"),
            plan(b"5", unique="10m"),
            plan(b"5", unique="10m"),
            plan(b"5", unique=Unique("10m", on_conflict="raise")),
            plan(b"6", group="g"),
            plan(b"7", headers={"h": "\ud800"}),
        ]
    )
    created, elsewhere, later, conflict, first, second, duplicate, grouped, unsendable = results
    assert isinstance(created, Job)
    assert isinstance(elsewhere, Job)
    assert isinstance(later, Job)
    assert isinstance(first, Job)
    assert isinstance(second, Job)
    assert isinstance(grouped, Job)
    assert (created.state, elsewhere.queue, later.state) == (TaskState.PENDING, "other", TaskState.SCHEDULED)
    assert grouped.state is TaskState.AGGREGATING
    assert (first.created, second.created, second.id) == (True, False, first.id)
    assert isinstance(conflict, TaskIdConflict)
    assert isinstance(duplicate, DuplicateTask)
    assert duplicate.task_id == first.id
    assert isinstance(unsendable, OptionError)
    assert await desk.take() == ["taken", created.id, first.id]


async def test_thousands_of_tasks_keep_their_order(client: Client, desk: Desk) -> None:
    results = await client.enqueue_many(plan(str(i).encode()) for i in range(2345))
    assert len({result.id for result in results if isinstance(result, Job)}) == 2345
    waiting = await desk.ids("pending")
    assert waiting[::-1] == [result.id for result in results if isinstance(result, Job)]
    assert (await desk.message(waiting[0])).payload == b"2344"


async def test_nothing_is_sent_for_nothing(client: Client, desk: Desk) -> None:
    assert await client.enqueue_many([]) == []
    assert await desk.broker.admin.execute("DBSIZE") == 0


async def test_an_async_iterable_is_streamed(client: Client, desk: Desk) -> None:
    async def plans() -> AsyncIterator[Plan[Any]]:
        for _ in range(1001):
            yield plan()

    assert len(await client.enqueue_many(plans())) == 1001
    assert len(await desk.ids("pending")) == 1001


async def test_an_endless_iterable_is_taken_only_a_few_chunks_ahead(client: Client, desk: Desk) -> None:
    taken = itertools.count()

    def plans() -> Iterator[Plan[Any]]:
        while True:
            next(taken)
            yield plan()

    async with aclosing(client.enqueue_stream(plans(), chunk=10)) as stream:
        for _ in range(25):
            result = await anext(stream)
            assert isinstance(result, Job)
    assert next(taken) <= 60


@pytest.mark.parametrize(("batch", "sizes"), [(400, [400, 400, 200]), (5000, [1000])])
async def test_a_request_holds_as_many_tasks_as_said_but_no_more_than_its_script_can(
    broker: Overseen, monkeypatch: pytest.MonkeyPatch, batch: int, sizes: list[int]
) -> None:
    sent: list[int] = []
    run_many = broker.run_many

    async def counted(calls: Sequence[Call[Any]]) -> Any:
        sent.extend(sum(isinstance(word, bytes) for word in call.args) for call in calls)
        return await run_many(calls)

    monkeypatch.setattr(broker, "run_many", counted)
    await Client(broker, enqueue_batch=batch).enqueue_many(plan() for _ in range(1000))
    assert sent == sizes


async def test_a_fault_of_one_queue_is_told_of_its_tasks_alone(client: Client, desk: Desk) -> None:
    await desk.broker.admin.execute("SET", "asynq:{bad}:pending", "not ours")
    plans = [plan(queue="bad"), plan(), plan(queue="bad", delay="1h"), plan(queue="worse", group="g")]
    async with aclosing(client.enqueue_stream(plans)) as stream:
        results = [result async for result in stream]
    assert isinstance(results[0], BrokerRefused)
    assert [isinstance(result, Job) for result in results] == [False, True, True, True]
    refused, created = await client.enqueue_many([plan(queue="bad"), plan()])
    assert "WRONGTYPE" in str(refused)
    assert isinstance(created, Job)


async def test_a_server_that_is_not_there_is_the_outcome_of_each(caplog: pytest.LogCaptureFixture) -> None:
    options = BrokerOptions(retry_for=timedelta(0))
    async with Broker.from_url("redis://127.0.0.1:1/0", options=options) as broker:
        outcomes = await Client(broker).enqueue_many([plan(), plan()])
        with pytest.raises(BrokerUnavailable, match="connection refused"):
            await Client(broker).enqueue(plan())
    with broker.sync() as sync:
        outcomes += SyncClient(sync).enqueue_many([plan(), plan()])
    for outcome in outcomes:
        assert isinstance(outcome, BrokerUnavailable)
        assert "127.0.0.1:1" in str(outcome)
        assert not outcome.maybe_applied
    assert caplog.text.count("2 of 2 tasks were not enqueued, or may not have been: ") == 2


TEXT = "\ud800"
BAD_PLANS: list[Any] = [
    plan(task_id=TEXT),
    plan(unique=Unique("1h", key=TEXT)),
    plan(debounce=Debounce(TEXT, "1h")),
    plan(queue=TEXT),
    plan(group=TEXT),
    plan(headers={TEXT: "v"}),
    plan(type=TEXT),
    Plan("t", "text, not bytes"),  # type: ignore[arg-type]
    None,
    "t",
    EnqueueError("no plan could be made"),
]
"""Plans that cannot be sent, and what is no plan."""


async def every_way(client: Client, sync: SyncClient, plans: Sequence[Any]) -> list[list[Any]]:
    """The outcomes of a list, of an iterator, of an async iterable, and of blocking code."""

    async def stream() -> AsyncIterator[Any]:
        for each in plans:
            yield each

    ways = [list(plans), iter(plans), stream()]
    return [
        *[await client.enqueue_many(way) for way in ways],
        await asyncio.to_thread(sync.enqueue_many, list(plans)),
    ]


@pytest.fixture
def sync(any_url: str) -> Iterator[SyncClient]:
    with SyncBroker.from_url(as_role(any_url, "producer")) as broker:
        yield SyncClient(broker)


async def test_a_plan_that_cannot_be_sent_is_one_outcome_and_all_others_are_enqueued(
    client: Client, sync: SyncClient, desk: Desk
) -> None:
    plans = [*(plan() for _ in range(400)), *BAD_PLANS, *(plan(delay="1h") for _ in range(300))]
    for outcomes in await every_way(client, sync, plans):
        assert len(outcomes) == len(plans)
        bad = outcomes[400 : 400 + len(BAD_PLANS)]
        assert all(isinstance(outcome, RotaError) for outcome in bad), bad
        assert all(getattr(outcome, "created", False) for outcome in outcomes[:400] + outcomes[-300:])
    assert (len(await desk.ids("pending")), len(await desk.ids("scheduled"))) == (1600, 1200)


@pytest.mark.parametrize("bad", BAD_PLANS[:7], ids=lambda each: repr(each)[:40])
async def test_a_plan_that_cannot_be_sent_alone_says_why(
    client: Client, sync: SyncClient, desk: Desk, bad: Plan[Any]
) -> None:
    for act in (client.enqueue(bad), asyncio.to_thread(sync.enqueue, bad)):
        with pytest.raises(OptionError):
            await act
    assert await desk.broker.admin.execute("DBSIZE") == 0


@pytest.mark.parametrize("first", [0, 1, 3, 7, 700])
async def test_what_an_iterable_gave_before_it_raised_is_enqueued_and_its_error_is_the_last_outcome(
    client: Client, sync: SyncClient, desk: Desk, first: int
) -> None:
    def plans() -> Iterator[Plan[Any]]:
        for _ in range(first):
            yield plan()
        raise ValueError("the rows ended early")

    async def stream() -> AsyncIterator[Plan[Any]]:
        for each in plans():
            yield each

    for outcomes in (
        await client.enqueue_many(plans()),
        await client.enqueue_many(stream()),
        await asyncio.to_thread(sync.enqueue_many, plans()),
    ):
        assert [isinstance(outcome, Exception) for outcome in outcomes] == [False] * first + [True]
        assert isinstance(outcomes[-1], EnqueueError)
        assert "raised ValueError: the rows ended early" in str(outcomes[-1])
        assert isinstance(outcomes[-1].__cause__, ValueError)
    assert len(await desk.ids("pending")) == 3 * first


class Speechless(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


class Unshown:
    def __repr__(self) -> str:
        raise LookupError("no words")


@pytest.mark.parametrize("error", [Speechless(), asyncio.CancelledError()], ids=lambda error: type(error).__name__)
async def test_an_error_of_the_iterable_costs_no_outcome_although_it_has_no_text_or_is_a_cancel(
    client: Client, sync: SyncClient, desk: Desk, error: BaseException
) -> None:
    def plans() -> Iterator[Plan[Any]]:
        yield plan()
        raise error

    async def stream() -> AsyncIterator[Plan[Any]]:
        for each in plans():
            yield each

    for outcomes in (
        await client.enqueue_many(plans()),
        await client.enqueue_many(stream()),
        await asyncio.to_thread(sync.enqueue_many, plans()),
    ):
        assert isinstance(outcomes[0], Receipt)
        assert f"raised {type(error).__name__}" in str(outcomes[1])
    assert len(await desk.ids("pending")) == 3


async def test_a_cancel_of_the_caller_ends_the_stream_of_plans(client: Client) -> None:
    async def stream() -> AsyncIterator[Plan[Any]]:
        begun.set()
        await asyncio.Event().wait()
        yield plan()

    begun = asyncio.Event()
    sending = asyncio.create_task(client.enqueue_many(stream()))
    await begun.wait()
    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_thing_that_cannot_be_shown_is_one_outcome(client: Client) -> None:
    things: list[Any] = [Unshown(), plan()]
    refused, receipt = await client.enqueue_many(things)

    assert re.match("<Unshown instance at .*> is not a plan", str(refused))
    assert isinstance(receipt, Job)


async def test_what_ends_the_program_is_not_made_an_outcome(client: Client) -> None:
    def plans() -> Iterator[Plan[Any]]:
        yield plan()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async for _ in client.enqueue_stream(plans()):
            pass


async def test_a_broker_that_goes_away_in_the_middle_leaves_each_task_its_outcome(
    broker: Overseen, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, run_many = itertools.count(1), broker.run_many

    async def half(calls: Sequence[Call[Any]]) -> Any:
        if next(sent) > 2:
            return [BrokerUnavailable("gone") for _ in calls]
        return await run_many(calls)

    monkeypatch.setattr(broker, "run_many", half)
    outcomes = await Client(broker, enqueue_batch=100).enqueue_many(plan() for _ in range(500))
    assert [isinstance(outcome, Job) for outcome in outcomes] == [True] * 200 + [False] * 300
    assert len(await desk.ids("pending")) == 200


@pytest.mark.forbids
async def test_a_right_that_some_tasks_lack_is_told_of_those_alone(any_url: str, desk: Desk) -> None:
    async with Overseen.from_url(any_url) as admin:
        await admin.admin.execute(
            "ACL", "SETUSER", "ungrouped", "reset", "on", ">p", "~asynq:queues", "~asynq:{default}:pending",
            "~asynq:{default}:scheduled", "~asynq:{default}:t:*", "~rota:{default}:pause", "+@all",
        )  # fmt: skip
    options = BrokerOptions(username="ungrouped", password="p")
    async with Broker.from_url(any_url, options=options) as broker:
        first, grouped, last = await Client(broker).enqueue_many([plan(delay="1h"), plan(group="g"), plan()])
    assert isinstance(first, Job)
    assert isinstance(grouped, BrokerRefused)
    assert isinstance(last, Job)
    assert len(await desk.ids("scheduled")) == len(await desk.ids("pending")) == 1


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("words", [{"group": "g"}, {"process_at": datetime(2100, 1, 1, tzinfo=UTC)}])
async def test_tasks_of_the_same_time_keep_the_order_in_which_they_were_enqueued(
    client: Client, desk: Desk, many: bool, words: dict[str, Any]
) -> None:
    plans = [plan(**words) for _ in range(300)]
    made = await client.enqueue_many(plans) if many else [await client.enqueue(one) for one in plans]
    assert await desk.ids("g:g" if "group" in words else "scheduled") == [
        job.id for job in made if isinstance(job, Job)
    ]
    assert len(made) == 300


def test_the_blocking_face_streams_the_same_way(any_url: str) -> None:
    with SyncBroker.from_url(any_url) as broker, clients.client(any_url) as raw:
        client = SyncClient(broker)
        results = client.enqueue_many(plan(queue=f"q{i % 3}") for i in range(1501))
        assert [result.queue for result in results if not isinstance(result, Exception)] == [
            f"q{i % 3}" for i in range(1501)
        ]
        assert raw.llen("asynq:{q0}:pending") == 501


AT = datetime(2035, 1, 1, tzinfo=UTC)
WORDS = st.fixed_dictionaries(
    {},
    optional={
        "queue": st.sampled_from(["a", "b"]),
        "group": st.sampled_from(["g", "h"]),
        "task_id": st.sampled_from(["x", "y"]),
        "unique": st.builds(
            Unique,
            st.just("1h"),
            scope=st.sampled_from(["ttl", "queued", "running"]),
            key=st.sampled_from([None, "k"]),
            on_conflict=st.sampled_from(["return", "raise", "replace"]),
        ),
        "process_at": st.sampled_from([AT, datetime(2020, 1, 1, tzinfo=UTC)]),
        "retention": st.just("1h"),
    },
)
JOINED = st.just({"debounce": Debounce("k", "1h")})
PLANS = st.lists(
    st.builds(lambda payload, words: plan(payload, **words), st.sampled_from([b"1", b"2"]), WORDS | WORDS | JOINED),
    max_size=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=PLANS, chunk=st.sampled_from([1, 3, 100]))
def test_many_at_once_leave_the_same_state_as_one_by_one(
    redis_url: str, plans: list[Plan[Any]], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted() -> Iterator[str]:
        return (f"made-{i}" for i in itertools.count())

    with clients.client(redis_url) as raw, monkeypatch.context() as patch:
        ids = counted()
        patch.setattr(packing_module, "new_task_id", lambda: next(ids))
        raw.flushdb()
        with SyncBroker.from_url(redis_url) as broker:
            single = [_told(lambda plan=plan: SyncClient(broker).enqueue(plan)) for plan in plans]
        expected = state(raw)
        raw.flushdb()
        ids = counted()
        assert asyncio.run(_stream(redis_url, plans, chunk)) == single
        assert state(raw) == expected


async def _stream(url: str, plans: list[Plan[Any]], chunk: int) -> list[object]:
    async with (
        Broker.from_url(url) as broker,
        aclosing(Client(broker).enqueue_stream(plans, chunk=chunk)) as stream,
    ):
        return [_shape(result) async for result in stream]


def _told(act: Any) -> object:
    try:
        return _shape(act())
    except (DuplicateTask, TaskIdConflict) as error:
        return _shape(error)


def _shape(result: Any) -> object:
    if isinstance(result, Exception):
        return type(result), str(result)
    return result.id, result.queue, result.type, result.state, result.created


def state(raw: "redis.Redis") -> dict[bytes, object]:
    """Everything of Asynq's in the database, with the moments of this test left out."""
    return {name: _value(raw, name) for name in sorted(raw.keys("asynq:*"))}


def _value(raw: Any, name: bytes) -> object:
    kind, bounded = raw.type(name), raw.pttl(name) > 0
    if kind == b"string":
        return raw.get(name), bounded
    if kind == b"list":
        return raw.lrange(name, 0, -1)
    if kind == b"set":
        return raw.smembers(name)
    if kind == b"zset":
        return {member: _moment(score) for member, score in raw.zrange(name, 0, -1, withscores=True)}
    row = raw.hgetall(name)
    moments = {field: b"" for field in (b"pending_since", b"rota_first") if field in row}
    return {**row, **moments, b"msg": str(TaskMessage.FromString(row[b"msg"]))}


def _moment(score: float) -> object:
    """Tell a moment that was given from the test's own now and from an hour after it."""
    if score == AT.timestamp():
        return score
    return "later" if score > time.time() + 1800 else "now"
