"""Plans to calls: what goes the fast way, what a lock is made of, and what refusals say."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rota.client import packing
from rota.client.batch import CHUNK_BYTES, Batch, cut, in_chunks
from rota.client.packing import Packer, lock_of, refusal
from rota.errors import BrokerRefused, BrokerUnavailable, DuplicateTask, EnqueueError, OptionError, TaskIdConflict
from rota.tasks.job import Plan
from rota.tasks.options import Options
from rota.tasks.policy import Unique
from rota.wire.enqueue import Reply
from rota.wire.keys import Keys
from rota.wire.proto import TaskMessage

envelope = packing._envelope


def plan(payload: bytes = b"{}", **words: Any) -> Plan[Any]:
    return Plan("t", payload, Options.of(**words))


@pytest.mark.parametrize(
    "words", [{}, {"retention": "1h"}, {"max_retry": 0}, {"headers": {"a": "b"}}, {"deadline": datetime.now(UTC)}]
)
def test_what_stands_in_the_message_alone_goes_the_fast_way(words: dict[str, Any]) -> None:
    assert Packer(Keys()).pack(plan(**words)).item is None


@pytest.mark.parametrize(
    "words",
    [{"delay": "0s"}, {"process_at": datetime.now(UTC)}, {"task_id": "x"}, {"unique": "1h"}, {"group": "g"}],
)
def test_what_the_script_must_look_at_goes_the_general_way(words: dict[str, Any]) -> None:
    assert Packer(Keys()).pack(plan(**words)).item is not None


def test_a_message_is_packed_for_its_queue_and_id() -> None:
    packed = Packer(Keys()).pack(plan(b"1", queue="q", max_retry=3, timeout="5s"))
    message = TaskMessage.FromString(packed.message)
    assert (message.id, message.queue, message.retry, message.timeout) == (packed.id, "q", 3, 5)


def test_plans_that_share_their_options_are_packed_from_one_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing without the template takes four times as long, which docs/design.md has with the other shortcuts."""
    made = []
    monkeypatch.setattr(packing, "_envelope", lambda *args: made.append(args) or envelope(*args))  # type: ignore[func-returns-value]
    packer, options = Packer(Keys()), Options.of(queue="q")

    packed = [packer.pack(Plan("t", payload, options)) for payload in (b"1", b"2", b"3")]

    assert len(made) == 1
    assert [TaskMessage.FromString(each.message).payload for each in packed] == [b"1", b"2", b"3"]


def test_more_templates_than_are_remembered_do_no_harm() -> None:
    packer = Packer(Keys())
    for i in range(1500):
        packed = packer.pack(plan(max_retry=i))
        assert TaskMessage.FromString(packed.message).retry == i


def test_times_keep_their_fraction() -> None:
    packer = Packer(Keys())
    at = datetime(2030, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)
    absolute, relative = packer.pack(plan(process_at=at)).item, packer.pack(plan(delay="1.5s")).item
    assert absolute is not None
    assert relative is not None
    assert (absolute.when, relative.when) == (f"{at.timestamp():.6f}", "+1.500000")


def test_an_empty_payload_has_the_lock_of_gos_nil() -> None:
    keys = Keys().queue("q")
    assert lock_of(keys, plan(b"", unique="1h")) == "asynq:{q}:unique:t:"
    assert lock_of(keys, plan(b"{}", unique="1h")) == "asynq:{q}:unique:t:99914b932bd37a50b983c5e7c90ae93b"


def test_a_lock_that_ends_with_its_task_has_no_life_of_its_own() -> None:
    packer = Packer(Keys())
    for unique, life in ((Unique("90s"), 90_000), (Unique(scope="queued"), ""), (Unique("5s", scope="running"), 5000)):
        item = packer.pack(plan(unique=unique)).item
        assert item is not None
        assert (item.lock_ms, item.scope) == (life, unique.scope)


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        (Reply("duplicate", "x", "retry"), DuplicateTask, r"task x \(retry\) has the same unique key"),
        (Reply("busy", "x", "active"), DuplicateTask, "task x has the same unique key and runs"),
        (Reply("busy", "x", "aggregating"), DuplicateTask, "is being aggregated"),
        (Reply("conflict", "x", "archived"), TaskIdConflict, "its ID 'x' is taken by a task that is archived"),
        (Reply("conflict", "x", ""), TaskIdConflict, "in no known state"),
        (Reply("error", "WRONGTYPE no", ""), BrokerRefused, "WRONGTYPE no. Some other program"),
    ],
)
def test_a_refusal_says_what_why_and_what_to_do(reply: Reply, error: type[Exception], text: str) -> None:
    refused = refusal(plan(unique=Unique("1h", on_conflict="raise")), "q", reply)
    assert isinstance(refused, error)
    with pytest.raises(error, match=text):
        raise refused


@pytest.mark.parametrize("reason", ["created", "duplicate", "replaced"])
def test_what_was_asked_for_is_no_refusal(reason: str) -> None:
    assert refusal(plan(unique="1h"), "q", Reply(reason, "x", "pending")) is None


def test_a_chunk_is_one_call_for_each_queue_and_keeps_the_fast_way_where_it_can() -> None:
    plans = [plan(queue="a"), plan(queue="b"), plan(queue="a"), plan(queue="b", delay="1h")]
    batch = Batch(Packer(Keys()), plans)
    assert [(sending.call.script.name, len(sending.rows)) for sending in batch.sendings] == [
        ("enqueue_plain", 2),
        ("enqueue", 2),
    ]
    assert batch.names() == ["a", "b"]
    assert batch.queues == ["a", "b", "a", "b"]


def test_a_plan_that_cannot_be_packed_stands_alone() -> None:
    batch = Batch(Packer(Keys()), [plan(headers={"h": "\ud800"}), plan()])
    [sending] = batch.sendings
    batch.settle(sending, 1)
    bad, good = batch.settled()
    assert isinstance(bad, OptionError)
    assert isinstance(good, Reply)
    assert good.state == "pending"


def test_a_chunk_that_was_not_sent_says_so_for_each_plan() -> None:
    batch = Batch(Packer(Keys()), [plan(), plan(queue="q")])
    assert all(isinstance(outcome, EnqueueError) for outcome in batch.settled())
    error = BrokerUnavailable("no")
    batch.fail(error)
    assert batch.settled() == [error, error]
    assert batch.sendings == []


async def test_iterables_of_both_kinds_are_cut_alike() -> None:
    plans = [plan(str(i).encode()) for i in range(7)]

    async def stream():  # type: ignore[no-untyped-def]
        for each in plans:
            yield each

    expected = [plans[:3], plans[3:6], plans[6:]]
    assert list(cut(plans, 3)) == expected
    assert [chunk async for chunk in in_chunks(plans, 3)] == expected
    assert [chunk async for chunk in in_chunks(stream(), 3)] == expected
    assert [chunk async for chunk in in_chunks([], 3)] == []


async def test_chunks_hold_a_few_megabytes_and_one_plan_at_least() -> None:
    plans = [plan(bytes(size)) for size in (1, CHUNK_BYTES, 2, CHUNK_BYTES * 3, 3)]
    expected = [plans[:2], plans[2:4], plans[4:]]
    assert list(cut(plans, 100)) == expected
    assert [chunk async for chunk in in_chunks(plans, 100)] == expected
