from collections.abc import AsyncIterator

import pytest

from rota.wire.fetch import fetch
from rota.worker.housekeeping.forwarder import Forwarder
from tests.integration.worker.yard import Yard, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


@pytest.fixture
def forwarder(yard: Yard) -> Forwarder:
    return Forwarder(yard.broker, limit=100)


async def test_due_tasks_join_the_end_of_the_line_in_the_order_they_were_due(yard: Yard, forwarder: Forwarder) -> None:
    await yard.put("waiting", "pending")
    await yard.put("second", "scheduled", 20)
    await yard.put("first", "scheduled", 10)
    await yard.put("later", "scheduled", await yard.now() + 60)
    assert await forwarder.forward(yard.queues()) == 2
    assert await yard.members(yard.keys.pending) == ["second", "first", "waiting"]
    assert await yard.members(yard.keys.scheduled) == ["later"]
    fields = await yard.fields("first")
    assert fields["state"] == b"pending"
    assert abs(int(fields["pending_since"]) / 1e9 - await yard.now()) < 60


@pytest.mark.parametrize("by", ["forwarder", "fetch"])
async def test_task_that_was_to_be_cancelled_while_a_go_server_ran_it_ends_when_its_retry_is_due(
    yard: Yard, forwarder: Forwarder, by: str
) -> None:
    lock = yard.keys.base + "unique:test:it:1"
    await yard.put("asked", "retry", 10, rota_cancel="enough", unique_key=lock)
    await yard.put("other", "retry", 20)
    await yard.execute("SET", lock, "asked")
    before = int(await yard.now())
    if by == "forwarder":
        assert await forwarder.forward(yard.queues()) == 2
        assert await yard.members(yard.keys.pending) == ["other"]
    else:
        fetched = await yard.broker.run(fetch([(yard.keys, 5)], token="w-1", wanted=5, lease_seconds=30))
        assert fetched.batches[0].tasks[::2] == [b"other"]
    assert await yard.members(yard.keys.archived) == ["asked"]
    fields, told = await yard.fields("asked"), await yard.message("asked")
    assert (fields["state"], fields["rota_end"], told.error_msg) == (b"archived", b"cancelled", "cancelled: enough")
    assert before <= told.last_failed_at <= await yard.now()
    assert await yard.execute("GET", lock) is None


async def test_a_paused_queue_is_forwarded_too(yard: Yard, forwarder: Forwarder) -> None:
    await yard.execute("SET", yard.keys.paused, 1)
    await yard.put("due", "retry", 10)
    assert await forwarder.forward(yard.queues()) == 1
    assert await yard.members(yard.keys.pending) == ["due"]


async def test_a_grouped_task_returns_to_its_group_and_the_group_is_listed(yard: Yard, forwarder: Forwarder) -> None:
    await yard.put("due", "scheduled", 10, group="mails")
    assert await forwarder.forward(yard.queues()) == 1
    assert await yard.members(yard.keys.group("mails")) == ["due"]
    assert await yard.members(yard.keys.groups) == ["mails"]
    assert (await yard.fields("due"))["state"] == b"aggregating"


async def test_an_id_without_a_hash_leaves_the_set_and_grows_no_stub(yard: Yard, forwarder: Forwarder) -> None:
    await yard.execute("ZADD", yard.keys.retry, 10, "gone")
    assert await forwarder.forward(yard.queues()) == 0
    assert await yard.names() == set()
    assert forwarder.statistics().dropped == 1


async def test_more_than_one_batch_is_moved_without_a_long_script(yard: Yard, forwarder: Forwarder) -> None:
    for number in range(350):
        await yard.put(f"t{number:03}", "scheduled", number)
    assert await forwarder.forward(yard.queues()) == 350
    assert (await yard.members(yard.keys.pending))[::-1] == [f"t{number:03}" for number in range(350)]
    assert forwarder.statistics().moved == 350
