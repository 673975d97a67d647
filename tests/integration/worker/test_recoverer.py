import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NoReturn

import pytest

from rota.errors import BrokerUnavailable
from rota.tasks.policy import Retry
from rota.wire.fetch import MAX_BYTES
from rota.wire.proto import TaskMessage
from rota.wire.recover import Slack, expired, recover
from rota.wire.script import Call
from rota.worker.clock import BrokerClock
from rota.worker.housekeeping.recoverer import AFTER_EACH, AFTER_GO, LEASE_EXPIRED, Recoverer, Recovery, as_failure
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard

SLACK = Slack(timedelta(seconds=5), timedelta(seconds=30))


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


def recoverer(yard: Yard, **words: object) -> Recoverer:
    judge = as_failure(lambda _: Retry(delay=timedelta(seconds=40)))
    return Recoverer(yard.broker, judge, **words)  # type: ignore[arg-type]


async def test_nobody_is_given_up_because_the_servers_clock_was_set_ahead(yard: Yard) -> None:
    clock = BrokerClock()
    clock.set(await yard.now() - 3600)
    recovering = recoverer(yard, clock=clock, settle=timedelta(seconds=0.3))
    hold, holds = recovering.hold, []
    recovering.hold = lambda: holds.append(hold())  # type: ignore[method-assign]
    await yard.active("lives", int(await yard.now()) - 3570.5, rota_token="w-1")  # beat an hour ago, as it seems
    await yard.active("dead", int(await yard.now()) - 3570.5, rota_token="x-1")

    assert await recovering.recover([QUEUE]) == 0
    assert len(holds) == 1

    await yard.execute("ZADD", yard.keys.lease, int(await yard.now()) + 30.5, "lives")  # its next beat
    while recovering.held_seconds:
        await asyncio.sleep(recovering.held_seconds)
    assert await recovering.recover([QUEUE]) == 1
    assert await yard.members(yard.keys.pending) == ["dead"]


async def test_a_task_that_a_go_server_lost_long_ago_is_retried_as_a_failure(yard: Yard) -> None:
    now = int(await yard.now())  # Go's leases end with a whole second
    await yard.active("dead", now - 31, rota_token="t1")
    await yard.active("slow", now - 10, rota_token="t2")
    assert await recoverer(yard).recover(yard.queues()) == 1
    assert await yard.members(yard.keys.active) == ["slow"]
    assert await yard.members(yard.keys.lease) == ["slow"]
    assert await yard.members(yard.keys.retry) == ["dead"]
    score = float(await yard.execute("ZSCORE", yard.keys.retry, "dead"))
    after = await yard.now()
    assert now + 40 <= score <= after + 40.001  # the script rounds up to a millisecond
    told = await yard.message("dead")
    assert (told.retried, told.error_msg) == (1, LEASE_EXPIRED)
    assert now <= told.last_failed_at <= after
    fields = await yard.fields("dead")
    assert fields["state"] == b"retry"
    assert "rota_token" not in fields
    assert await yard.number("GET", yard.keys.processed) == 1
    assert await yard.number("GET", yard.keys.failed) == 1


async def test_large_task_of_a_go_server_waits_like_a_small_one_although_its_message_is_not_read(yard: Yard) -> None:
    now = int(await yard.now())
    for name, retry in (("again", 3), ("last", 1), ("unwanted", 3)):
        await yard.active(name, now - 31, rota_token="t")
        large = TaskMessage(id=name, type="x", payload=b"x" * 100_000, queue=QUEUE, retry=retry, retried=1)
        await yard.execute("HSET", yard.keys.task(name), "msg", large.SerializeToString())
    await yard.execute("HSET", yard.keys.task("unwanted"), "rota_cancel", "enough")
    recovering = recoverer(yard)
    for _ in range(10):
        recovering._reply_limit.shrink()

    assert await recovering.recover(yard.queues()) == 3
    assert await yard.members(yard.keys.retry) == ["again"]
    score = float(await yard.execute("ZSCORE", yard.keys.retry, "again"))
    assert now + AFTER_GO.total_seconds() <= score <= await yard.now() + AFTER_GO.total_seconds() + 0.001
    told = await yard.message("again")
    assert (told.retried, told.error_msg, len(told.payload)) == (2, LEASE_EXPIRED, 100_000)
    assert sorted(await yard.members(yard.keys.archived)) == ["last", "unwanted"]
    assert (await yard.message("last")).error_msg == LEASE_EXPIRED
    assert (await yard.fields("unwanted"))["rota_end"] == b"cancelled"
    assert "rota_crashes" not in await yard.fields("again")


async def test_a_task_that_a_worker_of_ours_lost_is_at_the_front_of_the_line_and_no_retry_is_spent(yard: Yard) -> None:
    now = int(await yard.now())
    await yard.put("waiting", "pending")
    await yard.active("dead", now - 61.5, rota_token="w-1")
    await yard.active("slow", now - 2.5, rota_token="w-1")
    await yard.active("of-go", now - 200)
    sweeper = recoverer(yard, slack=Slack(timedelta(minutes=1), timedelta(minutes=5)))
    assert await sweeper.recover(yard.queues()) == 1
    assert await yard.members(yard.keys.pending) == ["waiting", "dead"]
    assert await yard.members(yard.keys.active) == ["of-go", "slow"]
    fields = await yard.fields("dead")
    assert (fields["state"], fields["rota_crashes"]) == (b"pending", b"1")
    assert "rota_token" not in fields
    assert now <= int(fields["pending_since"]) / 1e9 <= await yard.now()
    assert fields["msg"] == message("dead")
    assert await yard.number("GET", yard.keys.processed) == await yard.number("GET", yard.keys.failed) == 0
    assert await yard.number("GET", yard.keys.crashed) == 1
    assert sweeper.statistics().crashed == 1


async def test_a_task_that_lost_its_worker_three_times_is_put_into_quarantine(yard: Yard) -> None:
    before = int(await yard.now())
    await yard.active("poison", 1.5, rota_token="w-1", rota_crashes="2", rota_wait="1")
    async with yard.broker.subscribe(yard.keys.ended("poison")) as told:
        await recoverer(yard).recover(yard.queues())
        _, payload = await asyncio.wait_for(told.get(), 20)
    assert await yard.members(yard.keys.archived) == ["poison"]
    fields = await yard.fields("poison")
    assert (fields["rota_end"], fields["rota_crashes"], fields["state"]) == (b"quarantined", b"3", b"archived")
    stored = await yard.message("poison")
    assert stored.error_msg.startswith("quarantined: 3 workers died")
    assert (stored.id, stored.retry, stored.retried) == ("poison", 3, 0)
    assert before <= stored.last_failed_at <= await yard.now()
    assert payload == b"archived\n" + stored.error_msg.encode()
    assert await yard.number("GET", yard.keys.failed) == 1


async def test_a_dead_go_server_does_not_hide_the_tasks_of_a_dead_worker_of_ours(yard: Yard) -> None:
    now = int(await yard.now())
    for number in range(300):
        await yard.active(f"go{number}", now - 8)
    await yard.active("ours", now - 6.5, rota_token="w-1")
    assert await recoverer(yard).recover(yard.queues()) == 1
    assert await yard.members(yard.keys.pending) == ["ours"]


async def test_a_task_without_retries_left_is_archived(yard: Yard) -> None:
    await yard.active("dead", 1, msg=message("dead", retry=2, retried=2))
    assert await recoverer(yard).recover(yard.queues()) == 1
    assert await yard.members(yard.keys.archived) == ["dead"]
    assert (await yard.message("dead")).retried == 2
    assert (await yard.fields("dead"))["state"] == b"archived"


async def test_a_task_that_was_to_be_cancelled_ends_as_cancelled(yard: Yard) -> None:
    await yard.active("dead", 1, rota_cancel="no longer needed")
    assert await recoverer(yard).recover(yard.queues()) == 1
    assert await yard.members(yard.keys.archived) == ["dead"]
    assert (await yard.fields("dead"))["rota_end"] == b"cancelled"
    assert await yard.number("GET", yard.keys.failed) == 0


async def test_whoever_waits_for_an_archived_task_is_told(yard: Yard) -> None:
    await yard.active("dead", 1, msg=message("dead", retry=0), rota_wait="1")
    async with yard.broker.subscribe(yard.keys.ended("dead")) as told:
        await recoverer(yard).recover(yard.queues())
        _, payload = await asyncio.wait_for(told.get(), 20)
    assert payload == b"archived\n" + LEASE_EXPIRED.encode()


async def test_two_recoverers_with_the_same_list_move_each_task_once(yard: Yard) -> None:
    for number in range(250):
        await yard.active(f"t{number}", 1 + number, rota_token="x")
    moved = await asyncio.gather(*(recoverer(yard).recover(yard.queues()) for _ in range(4)))
    assert sum(moved) == 250
    assert len(await yard.members(yard.keys.retry)) == 250
    assert await yard.number("GET", yard.keys.failed) == 250


async def test_an_old_list_cannot_touch_a_lease_that_was_extended_or_a_newer_attempt(yard: Yard) -> None:
    from rota.wire.recover import Move, Moved

    now = await yard.now()
    await yard.active("extended", 1, rota_token="t1")
    await yard.active("retaken", 2, rota_token="t1")
    await yard.active("rewritten", 3)
    listed = await yard.broker.run(expired(yard.keys, SLACK))
    await yard.execute("ZADD", yard.keys.lease, now + 30, "extended")
    await yard.hash("retaken", rota_token="t2")
    await yard.hash("rewritten", msg=message("rewritten", retried=1))
    moves = [Move(dead, "retry", b"new", timedelta(seconds=1)) for dead in listed.attempts]
    codes = await yard.broker.run(recover(yard.keys, SLACK, moves))
    assert codes == [Moved.ALIVE, Moved.CHANGED, Moved.CHANGED]
    assert len(await yard.members(yard.keys.active)) == 3


async def test_what_runs_here_is_never_recovered(yard: Yard) -> None:
    await yard.active("mine", 1, rota_token="own")
    assert await recoverer(yard, own_tokens=lambda: ["own"]).recover(yard.queues()) == 0
    assert await yard.members(yard.keys.active) == ["mine"]


async def test_leases_with_nothing_behind_them_are_dropped_and_block_nothing(yard: Yard) -> None:
    for number in range(30):
        await yard.execute("ZADD", yard.keys.lease, number, f"ghost{number}")
        await yard.execute("LPUSH", yard.keys.active, f"ghost{number}")
    await yard.execute("ZADD", yard.keys.lease, 1, "stub")
    await yard.hash("stub", state="active")
    await yard.put("done", "completed", await yard.now() + 60)
    await yard.execute("ZADD", yard.keys.lease, 2, "done")
    await yard.active("dead", 50)
    sweeper = recoverer(yard, limit=10)
    assert await sweeper.recover(yard.queues()) == 1
    assert sweeper.statistics().dropped == 32
    assert await yard.members(yard.keys.lease) == []
    assert await yard.members(yard.keys.active) == []
    assert await yard.fields("stub") == {}
    assert await yard.members(yard.keys.completed) == ["done"]


async def test_a_message_that_cannot_be_read_is_archived_as_it_is(yard: Yard) -> None:
    await yard.active("broken", 1, msg=b"\xff\xff\xff")
    assert await recoverer(yard).recover(yard.queues()) == 1
    assert await yard.members(yard.keys.archived) == ["broken"]
    assert (await yard.fields("broken"))["msg"] == b"\xff\xff\xff"


async def test_the_judge_can_spare_the_retry(yard: Yard) -> None:
    await yard.active("dead", 1)
    spare = Recoverer(yard.broker, lambda *_: Recovery(timedelta(), counts=False, text="crash"))
    await spare.recover(yard.queues())
    told = await yard.message("dead")
    assert (told.retried, told.error_msg) == (0, "crash")
    assert await yard.number("GET", yard.keys.failed) == 0


async def test_the_judge_learns_which_options_were_given_for_the_call(yard: Yard) -> None:
    await yard.active("said", 1, rota_explicit="max_retry")
    await yard.active("unsaid", 1)
    told: dict[str, str] = {}

    def judge(message: TaskMessage, explicit: str) -> Recovery:
        told[message.id] = explicit
        return Recovery(timedelta())

    await Recoverer(yard.broker, judge).recover(yard.queues())

    assert told == {"said": "max_retry", "unsaid": ""}


async def test_stale_aggregation_sets_return_to_their_group_which_is_listed_again(yard: Yard) -> None:
    stale, fresh = yard.keys.group("a:b") + ":set1", yard.keys.group("c") + ":set2"
    for number in range(1200):
        await yard.execute("ZADD", stale, number, f"t{number}")
    await yard.execute("ZADD", fresh, 1, "busy")
    await yard.execute("ZADD", yard.keys.aggregation_sets, 10, stale, await yard.now() + 60, fresh)
    sweeper = recoverer(yard)
    await sweeper.recover(yard.queues())
    assert len(await yard.members(yard.keys.group("a:b"))) == 1200
    assert float(await yard.execute("ZSCORE", yard.keys.group("a:b"), "t7")) == 7
    assert await yard.members(yard.keys.groups) == ["a:b"]
    assert await yard.members(yard.keys.aggregation_sets) == [fresh]
    assert await yard.members(stale) == []
    assert sweeper.statistics().reclaimed == 1200


def test_a_task_says_how_often_it_is_retried_and_its_policy_where_it_says_nothing() -> None:
    judge = as_failure(lambda _: Retry(max=2, delay=timedelta(seconds=10)))
    assert judge(TaskMessage(queue=QUEUE, retry=25, retried=2), "").delay is None
    assert judge(TaskMessage(queue=QUEUE, retry=25, retried=2), "max_retry").delay == timedelta(seconds=10)
    assert judge(TaskMessage(queue=QUEUE, retry=5, retried=2), "").delay == timedelta(seconds=10)


async def test_a_task_of_a_dead_go_server_waits_until_the_other_recoverers_have_passed_it(yard: Yard) -> None:
    before = await yard.now()
    for number in range(5):
        await yard.active(f"t{number}", int(before) - 60 + number, rota_token="t")
    await yard.active("ours", int(before) - 59.5, rota_token="t")
    recovering = Recoverer(yard.broker, as_failure(lambda _: Retry(delay=timedelta(0))), limit=2)
    assert await recovering.recover(yard.queues()) == 6
    after = await yard.now()
    for number in range(5):
        shortest = (AFTER_GO + number * AFTER_EACH).total_seconds()
        score = float(await yard.execute("ZSCORE", yard.keys.retry, f"t{number}"))
        assert before + shortest <= score <= after + shortest + 0.001


def leave(*args: object) -> NoReturn:
    sys.exit("bye")


@pytest.mark.parametrize("policy", [Retry(delay=leave), Retry(is_failure=leave), Retry(delay=lambda n, e: "soon")])
def test_a_policy_that_cannot_decide_about_a_task_of_a_dead_go_server_gives_way_to_asynqs(policy: Retry) -> None:
    judgement = as_failure(lambda _: policy)(TaskMessage(type="a:b", id="x", retry=5), "")
    assert (judgement.counts, judgement.text) == (True, LEASE_EXPIRED)
    assert judgement.delay is not None


async def large_attempts(yard: Yard, lease: float) -> list[str]:
    """Make dead attempts of which two fill a reply."""
    for task_id in "abcde":
        msg = message(task_id, payload=b"x" * (MAX_BYTES // 2 - 1000))
        await yard.active(task_id, lease, msg=msg, rota_token="w-1")
    return list("abcde")


async def test_large_messages_of_dead_go_servers_are_listed_in_several_replies_and_all_given_back(yard: Yard) -> None:
    large = await large_attempts(yard, int(await yard.now()) - 61)
    listed = await yard.broker.run(expired(yard.keys, SLACK))
    assert ([each.id for each in listed.attempts], listed.more) == (["a", "b"], True)
    assert await recoverer(yard).recover(yard.queues()) == 5
    assert sorted(await yard.members(yard.keys.retry)) == large


async def test_large_messages_of_dead_workers_of_ours_are_given_back_without_being_read(yard: Yard) -> None:
    large = await large_attempts(yard, int(await yard.now()) - 61.5)
    listed = await yard.broker.run(expired(yard.keys, SLACK))
    assert [(each.id, each.message) for each in listed.attempts] == [(each, b"") for each in large]
    assert await recoverer(yard).recover(yard.queues()) == 5
    assert sorted(await yard.members(yard.keys.pending)) == large
    assert {(await yard.fields(each))["rota_crashes"] for each in large} == {b"1"}


async def test_large_message_of_a_go_server_is_not_read_again_after_a_reply_was_lost(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    await yard.active("huge", int(await yard.now()) - 61, msg=message("huge", payload=b"x" * MAX_BYTES))
    recovering, run = recoverer(yard), yard.broker.run

    async def lose(call: Call[object]) -> object:
        if call.script.name != "expired" or not any(each.message for each in (await run(call)).attempts):  # type: ignore[attr-defined]
            return await run(call)
        raise BrokerUnavailable("The server closed the connection.", maybe_applied=True)

    monkeypatch.setattr(yard.broker, "run", lose)
    with pytest.raises(BrokerUnavailable):
        await recovering.recover(yard.queues())
    assert await recovering.recover(yard.queues()) == 1
    assert await yard.members(yard.keys.retry) == ["huge"]
    assert await yard.members(yard.keys.lease) == []
