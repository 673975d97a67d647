"""What is left behind by crashes, evictions and hands: found, and repaired when it is seen again (scenario 6)."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rota.broker import Broker
from rota.inspect import Inspector
from rota.wire.group import spent_key
from rota.worker.housekeeping.reconciler import Reconciler
from tests.integration.worker.sweeping import repair
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard
from tests.servers.roles import as_role

OWN_LOCK = "unique:test:it:" + "0" * 64
GO_LOCK = "unique:test:it:" + "0" * 32


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


@pytest.fixture
def reconciler(yard: Yard) -> Reconciler:
    return Reconciler(yard.broker, patience=timedelta(0))


async def lease_of(yard: Yard, task_id: str) -> float:
    return float(await yard.execute("ZSCORE", yard.keys.lease, task_id))


async def healthy(yard: Yard) -> None:
    """A task in each place, as Rota and Asynq leave them."""
    now = await yard.now()
    await yard.put("waiting", "pending", pending_since="5", unique_key=yard.keys.base + GO_LOCK)
    await yard.put("handed-back", "pending")
    await yard.active("ours", now + 20.5, rota_token="w-1")
    await yard.active("of-go", int(now) + 20)
    await yard.active("dead", 1.5, rota_token="w-2")
    for state in ("scheduled", "retry", "archived", "completed"):
        await yard.put(state, state, now + 60)
    await yard.grouped("gathering", "mails", 5)
    await yard.grouped("taken", "mails", 5)
    await yard.grouped("spent", "mails", 5)
    for task_id, name in (("taken", "set-1"), ("spent", "set-2")):
        await yard.execute("ZREM", yard.keys.group("mails"), task_id)
        await yard.execute("ZADD", yard.keys.group("mails") + ":" + name, 5, task_id)
    await yard.execute("ZADD", yard.keys.aggregation_sets, now + 60, yard.keys.group("mails") + ":set-1")
    await yard.execute("SADD", spent_key(yard.keys), yard.keys.group("mails") + ":set-2")
    await yard.execute("SET", yard.keys.base + GO_LOCK, "waiting", "EX", 60)


async def test_nothing_is_wrong_with_a_healthy_queue(yard: Yard, reconciler: Reconciler) -> None:
    await healthy(yard)
    before = await yard.names()
    assert await repair(yard, reconciler) == {}
    assert reconciler.ripe_seconds is None
    assert await yard.names() == before


async def test_an_active_task_without_a_lease_gets_one_that_runs_out_soon(yard: Yard, reconciler: Reconciler) -> None:
    await yard.put("ours", "active", rota_token="w-1")
    await yard.put("of-go", "active")
    assert await repair(yard, reconciler) == {"unleased": 2}
    now = await yard.now()
    assert await lease_of(yard, "ours") % 1 == 0.5
    assert await lease_of(yard, "of-go") % 1 == 0
    for task_id in ("ours", "of-go"):
        assert now + 10 < await lease_of(yard, task_id) < now + 20


async def test_leases_of_tasks_that_do_not_run_go(yard: Yard, reconciler: Reconciler) -> None:
    far = await yard.now() + 1000
    await yard.put("waiting", "pending")
    await yard.hash("running", msg=message("running"), state="active")
    await yard.execute("ZADD", yard.keys.lease, far, "gone", far, "waiting", far, "running")
    assert await repair(yard, reconciler) == {"stray_lease": 2}
    # Whoever runs it may be alive: its lease, once it has run out, brings it back.
    assert await yard.members(yard.keys.lease) == ["running"]


async def test_an_active_task_in_no_list_comes_back_as_a_crash_and_costs_no_retry(
    yard: Yard, reconciler: Reconciler
) -> None:
    await yard.put("waiting", "pending")
    await yard.hash("lost", msg=message("lost"), state="active", rota_token="w-1")
    assert await repair(yard, reconciler) == {"unlisted": 1}
    assert await yard.members(yard.keys.pending) == ["waiting", "lost"]
    fields = await yard.fields("lost")
    assert (fields["state"], fields["rota_crashes"], fields["msg"]) == (b"pending", b"1", message("lost"))
    assert "rota_token" not in fields
    assert await yard.number("GET", yard.keys.crashed) == 1


async def test_an_active_task_that_is_lost_too_often_is_put_into_quarantine(yard: Yard, reconciler: Reconciler) -> None:
    await yard.hash("poison", msg=message("poison"), state="active", rota_crashes="2")
    assert await repair(yard, reconciler) == {"quarantined": 1}
    assert await yard.members(yard.keys.archived) == ["poison"]
    assert (await yard.fields("poison"))["rota_end"] == b"quarantined"
    assert (await yard.message("poison")).error_msg.startswith("quarantined: 3 workers")
    assert await yard.number("GET", yard.keys.failed) == 1


async def test_a_task_in_no_place_is_put_back_where_it_says(yard: Yard, reconciler: Reconciler) -> None:
    now = await yard.now()
    await yard.put("waiting", "pending", pending_since="5")
    for state in ("pending", "scheduled", "retry", "archived", "completed"):
        await yard.hash(state, msg=message(state), state=state)
    await yard.hash("gathering", msg=message("gathering"), state="aggregating", group="mails")
    assert await repair(yard, reconciler) == {"unlisted": 6}
    assert await yard.members(yard.keys.pending) == ["waiting", "pending"]  # at the front: its turn is over long since
    for state in ("scheduled", "retry", "archived", "completed"):
        assert await yard.members(f"{yard.keys.base}{state}") == [state]
    assert float(await yard.execute("ZSCORE", yard.keys.retry, "retry")) - now < 60
    assert float(await yard.execute("ZSCORE", yard.keys.completed, "completed")) - now > 3000
    assert await yard.members(yard.keys.group("mails")) == ["gathering"]
    assert await yard.members(yard.keys.groups) == ["mails"]


async def test_a_task_that_cannot_be_put_back_is_archived_as_quarantined(yard: Yard, reconciler: Reconciler) -> None:
    await yard.hash("odd", msg=message("odd"), state="sleeping", pending_since="5")
    await yard.hash("groupless", msg=message("groupless"), state="aggregating")
    assert await repair(yard, reconciler) == {"quarantined": 2}
    assert sorted(await yard.members(yard.keys.archived)) == ["groupless", "odd"]
    fields = await yard.fields("odd")
    assert (fields["state"], fields["rota_end"]) == (b"archived", b"quarantined")
    assert "pending_since" not in fields
    assert "its state does not tell" in (await yard.message("odd")).error_msg


async def test_hashes_without_a_message_go(yard: Yard, reconciler: Reconciler) -> None:
    await yard.hash("written-too-late", result="42")
    await yard.active("of-go", await yard.now() + 1000)  # Go's dequeue of an ID without a task
    await yard.execute("HDEL", yard.keys.task("of-go"), "msg")
    assert await repair(yard, reconciler) == {"stub": 2}
    assert await yard.names() == {yard.keys.repaired}


async def test_ids_without_a_task_leave_every_place(yard: Yard, reconciler: Reconciler) -> None:
    far = await yard.now() + 1000
    for place in ("pending", "active"):
        await yard.execute("LPUSH", f"{yard.keys.base}{place}", f"ghost-{place}")
    for place in ("scheduled", "retry", "archived", "completed"):
        await yard.execute("ZADD", f"{yard.keys.base}{place}", far, f"ghost-{place}")
    assert await repair(yard, reconciler) == {"ghost": 6}
    assert await yard.names() == {yard.keys.repaired}


async def test_a_group_that_nobody_looks_at_is_listed_again(yard: Yard, reconciler: Reconciler) -> None:
    await yard.grouped("a", "mails", 5)
    await yard.execute("DEL", yard.keys.groups)
    assert await repair(yard, reconciler) == {"ungrouped": 1}
    assert await yard.members(yard.keys.groups) == ["mails"]


async def test_locks_without_a_holder_go_but_asynq_s_live_until_their_time_is_over(
    yard: Yard, reconciler: Reconciler
) -> None:
    base = yard.keys.base
    failed, held = base + "unique:running:" + "2" * 32, base + "unique:held:" + "3" * 32
    await yard.put("failed", "archived", await yard.now(), rota_unique="running", unique_key=failed)
    await yard.put("held", "pending", rota_unique="running", unique_key=held)
    await yard.execute("SET", base + OWN_LOCK, "gone", "EX", 1000)
    await yard.execute("SET", base + GO_LOCK, "gone", "EX", 1000)
    await yard.execute("SET", base + "unique:forever:" + "1" * 32, "gone")
    await yard.execute("SET", failed, "failed", "EX", 1000)
    await yard.execute("SET", held, "held")
    # Asynq takes a lock and then finds the task's ID taken: the lock stays, and the task does not name it.
    await yard.execute("SET", base + "unique:leaked:" + "4" * 32, "held", "EX", 1000)
    assert await repair(yard, reconciler) == {"lock": 4}
    locks = {name for name in await yard.names() if ":unique:" in name}
    assert locks == {base + GO_LOCK, held}


async def test_what_changes_between_two_looks_is_left_alone(yard: Yard, reconciler: Reconciler) -> None:
    await yard.hash("taken", msg=message("taken"), state="active", rota_token="w-1")
    await yard.hash("back", msg=message("back"), state="pending")
    await yard.execute("SET", yard.keys.base + OWN_LOCK, "gone")
    await reconciler.walk([QUEUE], [QUEUE])
    await yard.hash("taken", rota_token="w-2")
    await yard.execute("LPUSH", yard.keys.pending, "back")
    await yard.execute("SET", yard.keys.base + OWN_LOCK, "another")
    before = await yard.names()
    await reconciler.repair()
    assert await yard.names() == before
    assert await yard.members(yard.keys.pending) == ["back"]
    assert reconciler.statistics() == {}


async def test_a_finding_waits_until_it_is_seen_again(yard: Yard) -> None:
    patient = Reconciler(yard.broker, every=timedelta(0), patience=timedelta(seconds=60))
    await yard.hash("lost", msg=message("lost"), state="pending")
    await patient.reconcile([QUEUE], [QUEUE], [])
    await patient.reconcile([QUEUE], [QUEUE], [])
    ripe = patient.ripe_seconds
    assert ripe is not None
    assert 50 < ripe <= 60
    await patient.repair()
    assert await yard.members(yard.keys.pending) == []
    patient.forget()
    assert patient.ripe_seconds is None


async def test_a_queue_with_uneven_leases_is_looked_at_at_once(yard: Yard) -> None:
    slow = Reconciler(yard.broker, every=timedelta(hours=1), patience=timedelta(0))
    await yard.put("unleased", "active")
    await slow.reconcile([QUEUE], [QUEUE], [QUEUE])
    await slow.reconcile([QUEUE], [QUEUE], [])
    assert await yard.members(yard.keys.lease) == ["unleased"]


async def test_repairs_are_counted_and_logged_once(
    yard: Yard, reconciler: Reconciler, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        await yard.hash(name, msg=message(name), state="retry")
    await yard.hash("c", result="1")
    with caplog.at_level(logging.WARNING, "rota.worker"):
        await repair(yard, reconciler)
    assert reconciler.statistics() == {QUEUE: {"unlisted": 2, "stub": 1}}
    [record] = caplog.records
    assert "2 × a task in no place: put back" in record.getMessage()
    assert QUEUE in record.getMessage()


async def test_in_a_long_line_a_task_counts_as_passed_over_when_its_turn_is_over(
    yard: Yard, reconciler: Reconciler
) -> None:
    script = """
    for i = 1, 3000 do
      redis.call('HSET', KEYS[1] .. 't:' .. i, 'msg', 'm', 'state', 'pending', 'pending_since', 1000000 + i)
      redis.call('LPUSH', KEYS[1] .. 'pending', i)
    end"""
    await yard.execute("EVAL", script, 1, yard.keys.base)
    await yard.hash("passed", msg=message("passed"), state="pending", pending_since="1000000")
    await yard.hash("behind", msg=message("behind"), state="pending", pending_since="1002000")
    assert await repair(yard, reconciler) == {"unlisted": 1}
    assert await yard.execute("LINDEX", yard.keys.pending, -1) == b"passed"
    await yard.execute("LTRIM", yard.keys.pending, 0, 500)
    assert (await repair(yard, reconciler))["unlisted"] > 1
    assert await yard.execute("LPOS", yard.keys.pending, "behind") is not None


async def test_a_call_searches_only_so_much_of_a_long_line_and_the_next_goes_on(yard: Yard) -> None:
    reconciler = Reconciler(yard.broker, patience=timedelta(0))
    script = "for i = 1, 300000 do redis.call('LPUSH', KEYS[1], i) end"
    await yard.execute("EVAL", script, 1, yard.keys.pending)
    for name in ("a", "b", "c", "d"):
        await yard.hash(name, msg=message(name), state="pending", pending_since="1")
    await yard.hash("1", msg=message("1"), state="pending", pending_since="2")
    await reconciler.walk([QUEUE], [])
    for repaired in range(4):
        assert reconciler.ripe_seconds == 0
        assert await yard.number("HGET", yard.keys.repaired, "unlisted") == repaired
        await reconciler.repair()
    assert await yard.number("HGET", yard.keys.repaired, "unlisted") == 4


async def test_keys_of_other_queues_and_other_programs_are_passed_by(yard: Yard, reconciler: Reconciler) -> None:
    await yard.execute("HSET", "asynq:{elsewhere}:t:x", "state", "retry", "msg", "m")
    await yard.execute("SET", "asynq:{" + QUEUE + "}:unfamiliar", "1")
    await yard.execute("SET", "somebody:elses", "1")
    await yard.execute("SET", b"asynq:{" + QUEUE.encode() + b"}:unique:\xff\xfe:" + b"0" * 64, "gone")
    before = await yard.names_raw()
    assert await repair(yard, reconciler) == {}
    assert await yard.names_raw() == before


async def test_the_inspector_shows_what_was_repaired(yard: Yard, reconciler: Reconciler, any_url: str) -> None:
    await yard.execute("SADD", yard.broker.keys.queues, QUEUE)
    await yard.hash("lost", msg=message("lost"), state="retry")
    await repair(yard, reconciler)
    async with Broker.from_url(as_role(any_url, "inspector")) as broker:
        assert (await Inspector(broker).queue(QUEUE)).repaired == {"unlisted": 1}
