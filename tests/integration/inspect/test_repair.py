"""A repair of all queues: tasks, IDs and locks that contradict each other are found and repaired (scenario 6)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from rota.broker import Broker
from rota.inspect.doctor import Repair, compare
from rota.inspect.doctor.discrepancies import LIST_PAGE, Comparison
from rota.wire.reconcile import MOST_SEARCHED, Discrepancy, places
from rota.wire.reconcile import repair as repair_script
from tests.integration.worker.yard import GO_LOCK, OWN_LOCK, QUEUE, Yard, message, open_yard
from tests.servers.roles import as_role

Repaired = Callable[[], Awaitable[dict[str, int]]]


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        await yard.execute("SADD", yard.broker.keys.queues, QUEUE)
        yield yard


@pytest.fixture
async def doctor(any_url: str) -> AsyncIterator[Broker]:
    async with Broker.from_url(as_role(any_url, "repairer")) as broker:
        yield broker


@pytest.fixture
def repaired(yard: Yard, doctor: Broker) -> Repaired:
    """Repair everything; return the counters of the queue."""

    async def run() -> dict[str, int]:
        await Repair(doctor, delay=timedelta(0)).run()
        counted = await yard.execute("HGETALL", yard.keys.repaired)
        pairs = counted.items() if isinstance(counted, dict) else zip(counted[::2], counted[1::2], strict=True)
        return {kind.decode(): int(number) for kind, number in pairs}

    return run


async def found(broker: Broker) -> dict[str, int]:
    discrepancies, _ = await compare(broker)
    return dict(discrepancies.counts[QUEUE])


async def test_nothing_is_wrong_with_a_healthy_queue(yard: Yard, doctor: Broker, repaired: Repaired) -> None:
    await yard.healthy()
    before = await yard.names()
    assert await found(doctor) == {}
    assert await repaired() == {}
    assert await yard.names() == before


async def test_an_active_task_in_no_list_comes_back_as_a_crash_and_costs_no_retry(
    yard: Yard, repaired: Repaired
) -> None:
    await yard.put("waiting", "pending")
    await yard.hash("lost", msg=message("lost"), state="active", rota_token="w-1")
    assert await repaired() == {"unlisted": 1}
    assert await yard.members(yard.keys.pending) == ["waiting", "lost"]
    fields = await yard.fields("lost")
    assert (fields["state"], fields["rota_crashes"], fields["msg"]) == (b"pending", b"1", message("lost"))
    assert "rota_token" not in fields
    assert await yard.number("GET", yard.keys.crashed) == 1


async def test_an_active_task_that_is_lost_too_often_is_put_into_quarantine(yard: Yard, repaired: Repaired) -> None:
    await yard.hash("poison", msg=message("poison"), state="active", rota_crashes="2")
    assert await repaired() == {"quarantined": 1}
    assert await yard.members(yard.keys.archived) == ["poison"]
    assert (await yard.fields("poison"))["rota_end"] == b"quarantined"
    assert (await yard.message("poison")).error_msg.startswith("quarantined: 3 workers")
    assert await yard.number("GET", yard.keys.failed) == 1


async def test_a_task_in_no_place_is_put_back_where_it_says(yard: Yard, repaired: Repaired) -> None:
    now = await yard.now()
    await yard.put("waiting", "pending", pending_since="5")
    for state in ("pending", "scheduled", "retry", "archived", "completed"):
        await yard.hash(state, msg=message(state), state=state)
    await yard.hash("gathering", msg=message("gathering"), state="aggregating", group="mails")
    assert await repaired() == {"unlisted": 6}
    assert await yard.members(yard.keys.pending) == ["waiting", "pending"]  # at the front: its turn is over long since
    for state in ("scheduled", "retry", "archived", "completed"):
        assert await yard.members(f"{yard.keys.base}{state}") == [state]
    assert float(await yard.execute("ZSCORE", yard.keys.retry, "retry")) - now < 60
    assert float(await yard.execute("ZSCORE", yard.keys.completed, "completed")) - now > 3000
    assert await yard.members(yard.keys.group("mails")) == ["gathering"]
    assert await yard.members(yard.keys.groups) == ["mails"]


async def test_a_task_is_put_back_into_the_archive_at_the_time_of_its_last_failure(
    yard: Yard, repaired: Repaired
) -> None:
    """Asynq leaves the hashes of trimmed tasks behind: they must not displace the younger tasks of the archive."""
    now = await yard.now()
    await yard.put("kept", "archived", now - 50)
    for task_id, failed_at in (("trimmed", int(now) - 100), ("never-failed", 0), ("wrong-clock", int(now) + 1000)):
        await yard.hash(task_id, msg=message(task_id, last_failed_at=failed_at), state="archived")
    assert await repaired() == {"unlisted": 3}
    assert (await yard.members(yard.keys.archived))[:2] == ["trimmed", "kept"]
    assert int(await yard.execute("ZSCORE", yard.keys.archived, "trimmed")) == int(now) - 100
    for task_id in ("never-failed", "wrong-clock"):
        assert abs(int(await yard.execute("ZSCORE", yard.keys.archived, task_id)) - now) < 60


async def test_a_task_that_cannot_be_put_back_is_archived_as_quarantined(yard: Yard, repaired: Repaired) -> None:
    await yard.hash("odd", msg=message("odd"), state="sleeping", pending_since="5")
    await yard.hash("groupless", msg=message("groupless"), state="aggregating")
    assert await repaired() == {"quarantined": 2}
    assert sorted(await yard.members(yard.keys.archived)) == ["groupless", "odd"]
    fields = await yard.fields("odd")
    assert (fields["state"], fields["rota_end"]) == (b"archived", b"quarantined")
    assert "pending_since" not in fields
    assert "its state does not tell" in (await yard.message("odd")).error_msg


async def test_hashes_without_a_message_go(yard: Yard, repaired: Repaired) -> None:
    await yard.hash("written-too-late", result="42")
    await yard.active("of-go", await yard.now() + 1000)  # Go's dequeue of an ID without a task
    await yard.execute("HDEL", yard.keys.task("of-go"), "msg")
    assert await repaired() == {"stub": 2}
    assert await yard.names() == {yard.keys.repaired, yard.broker.keys.queues}


async def test_ids_without_a_task_leave_every_place(yard: Yard, repaired: Repaired) -> None:
    far = await yard.now() + 1000
    for place in ("pending", "active"):
        await yard.execute("LPUSH", f"{yard.keys.base}{place}", f"ghost-{place}")
    for place in ("scheduled", "retry", "archived", "completed"):
        await yard.execute("ZADD", f"{yard.keys.base}{place}", far, f"ghost-{place}")
    assert await repaired() == {"ghost": 6}
    assert await yard.names() == {yard.keys.repaired, yard.broker.keys.queues}


async def test_a_group_that_nobody_looks_at_is_listed_again(yard: Yard, repaired: Repaired) -> None:
    await yard.grouped("a", "mails", 5)
    await yard.execute("DEL", yard.keys.groups)
    assert await repaired() == {"ungrouped": 1}
    assert await yard.members(yard.keys.groups) == ["mails"]


async def test_locks_without_a_holder_go_but_asynq_s_live_until_their_time_is_over(
    yard: Yard, repaired: Repaired
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
    assert await repaired() == {"lock": 4}
    locks = {name for name in await yard.names() if ":unique:" in name}
    assert locks == {base + GO_LOCK, held}


async def test_keys_of_other_queues_and_other_programs_are_passed_by(yard: Yard, repaired: Repaired) -> None:
    await yard.execute("HSET", "asynq:{elsewhere}:t:x", "state", "retry", "msg", "m")
    await yard.execute("SET", "asynq:{" + QUEUE + "}:unfamiliar", "1")
    await yard.execute("SET", "somebody:elses", "1")
    await yard.execute("SET", b"asynq:{" + QUEUE.encode() + b"}:unique:\xff\xfe:" + b"0" * 64, "gone")
    before = await yard.names_raw()
    assert await repaired() == {}
    assert await yard.names_raw() == before


async def test_a_task_whose_state_names_another_place_than_its_own_is_corrected(yard: Yard, repaired: Repaired) -> None:
    """Asynq's archive script stops half-way on an old server: the task is in `archived` and says `active`."""
    await yard.put("half-way", "archived", await yard.now())
    await yard.hash("half-way", state="active")
    assert await repaired() == {"relabelled": 1}
    assert (await yard.fields("half-way"))["state"] == b"archived"
    assert await yard.members(yard.keys.archived) == ["half-way"]


@pytest.mark.parametrize("taken", [False, True])
async def test_a_task_of_a_group_whose_state_names_another_place_is_not_put_there_too(
    yard: Yard, repaired: Repaired, taken: bool
) -> None:
    await yard.grouped("a", "mails", 5)
    if taken:
        await yard.execute("RENAME", yard.keys.group("mails"), yard.keys.group("mails") + ":set-1")
        await yard.execute("ZADD", yard.keys.aggregation_sets, 9e9, yard.keys.group("mails") + ":set-1")
    await yard.hash("a", state="pending")
    assert await repaired() == {"relabelled": 1}
    assert await yard.members(yard.keys.pending) == []
    assert (await yard.fields("a"))["state"] == b"aggregating"


async def test_an_id_in_two_places_stays_where_the_task_says(yard: Yard, repaired: Repaired) -> None:
    await yard.put("twice", "retry", await yard.now() + 60)
    await yard.execute("LPUSH", yard.keys.active, "twice")
    await yard.execute("ZADD", yard.keys.archived, 5, "twice")
    assert await repaired() == {"misplaced": 2}
    assert await yard.members(yard.keys.retry) == ["twice"]
    assert await yard.members(yard.keys.active) == await yard.members(yard.keys.archived) == []


async def test_a_comparison_counts_each_task_once_and_changes_nothing(yard: Yard, doctor: Broker) -> None:
    await yard.put("unleased", "active")
    await yard.put("twice", "retry", await yard.now() + 60)
    await yard.execute("ZADD", yard.keys.archived, 5, "twice")
    await yard.hash("lost", msg=message("lost"), state="retry")
    await yard.execute("LPUSH", yard.keys.pending, "ghost")
    await yard.execute("SET", yard.keys.base + OWN_LOCK, "gone")
    before = await yard.names()
    discrepancies, tasks = await compare(doctor)
    assert discrepancies.counts == {QUEUE: {"unleased": 1, "misplaced": 1, "unlisted": 1, "ghost": 1, "lock": 1}}
    assert tasks == 3
    [finding] = discrepancies.findings()
    assert finding.what.startswith(f"In the queue {QUEUE!r} 5 entries contradict each other: ")
    assert "1 × a task in no list or set (lost)" in finding.what
    assert await yard.names() == before


async def test_a_comparison_needs_only_the_rights_of_an_inspector(yard: Yard, any_url: str) -> None:
    await yard.healthy()
    await yard.hash("lost", msg=message("lost"), state="retry")
    async with Broker.from_url(as_role(any_url, "inspector")) as broker:
        assert await found(broker) == {"unlisted": 1}


async def test_a_queue_with_a_broken_key_is_left_out(yard: Yard, repaired: Repaired) -> None:
    await yard.execute("SADD", yard.broker.keys.queues, "broken")
    await yard.execute("SET", yard.broker.keys.queue("broken").pending, "in the way")
    await yard.execute("HSET", yard.broker.keys.queue("broken").task("x"), "state", "retry", "msg", "m")
    await yard.hash("lost", msg=message("lost"), state="retry")
    assert await repaired() == {"unlisted": 1}


async def test_a_queue_whose_groups_have_the_wrong_type_is_left_out(yard: Yard, repaired: Repaired) -> None:
    broken = yard.broker.keys.queue("broken")
    await yard.execute("SADD", yard.broker.keys.queues, "broken")
    await yard.execute("SET", broken.aggregation_sets, "in the way")
    await yard.execute("HSET", broken.task("x"), "state", "aggregating", "group", "mails", "msg", "m")
    await yard.hash("lost", msg=message("lost"), state="retry")
    assert await repaired() == {"unlisted": 1}


async def test_a_key_of_the_wrong_type_in_the_place_of_a_task_or_a_lock_is_passed_by(
    yard: Yard, repaired: Repaired
) -> None:
    """An ID without a hash is taken out of its place, because no worker can run it."""
    base = yard.keys.base
    await yard.execute("SET", yard.keys.task("odd"), "not a hash")
    await yard.execute("LPUSH", yard.keys.pending, "odd")
    await yard.execute("HSET", base + "unique:test:it:" + "1" * 64, "field", "not a text")
    await yard.execute("SET", base + "unique:test:it:" + "2" * 64, "odd")
    await yard.execute("SET", base + OWN_LOCK, "gone")
    await yard.hash("lost", msg=message("lost"), state="retry")
    assert await repaired() == {"ghost": 1, "unlisted": 1, "lock": 1}
    assert await yard.execute("GET", yard.keys.task("odd")) == b"not a hash"
    assert await yard.execute("EXISTS", base + "unique:test:it:" + "1" * 64) == 1


async def test_a_task_that_may_be_in_one_of_too_many_sets_stays_in_its_only_place(
    yard: Yard, repaired: Repaired
) -> None:
    await yard.put("a", "pending", group="mails")
    await yard.hash("a", state="aggregating")
    script = "for i = 1, 1001 do redis.call('ZADD', KEYS[1], 9e9, KEYS[2] .. ':' .. i) end"
    await yard.execute("EVAL", script, 2, yard.keys.aggregation_sets, yard.keys.group("mails"))
    assert await repaired() == {}
    assert await yard.members(yard.keys.pending) == ["a"]
    await yard.execute("DEL", yard.keys.aggregation_sets)
    assert await repaired() == {"relabelled": 1}
    assert await yard.members(yard.keys.pending) == ["a"]


async def test_tasks_of_a_long_list_are_searched_before_they_count_as_missing(yard: Yard, doctor: Broker) -> None:
    """A task that was put back to the front is younger than the tasks behind it."""
    script = """
    for i = 1, tonumber(ARGV[1]) do
      redis.call('HSET', KEYS[1] .. 't:' .. i, 'msg', 'm', 'state', 'pending', 'pending_since', 1000000 + i)
      redis.call('LPUSH', KEYS[1] .. 'pending', i)
    end"""
    await yard.execute("EVAL", script, 1, yard.keys.base, 3 * LIST_PAGE)
    await yard.put("front", "pending", pending_since="9000000")

    await yard.execute("LREM", yard.keys.pending, 0, "front")
    await yard.execute("RPUSH", yard.keys.pending, "front")
    assert await found(doctor) == {}
    await yard.hash("passed", msg=message("passed"), state="pending", pending_since="1000000")
    assert await found(doctor) == {"unlisted": 1}


async def test_a_list_that_is_too_long_to_be_searched_is_left_for_later(yard: Yard, doctor: Broker) -> None:
    script = "for i = 1, tonumber(ARGV[1]) do redis.call('LPUSH', KEYS[1], 'busy') end"
    await yard.put("busy", "pending", pending_since="1000")
    await yard.execute("EVAL", script, 1, yard.keys.pending, MOST_SEARCHED)
    await yard.hash("passed", msg=message("passed"), state="pending", pending_since="1")
    await yard.hash("stub", result="late")
    repair = Repair(doctor, delay=timedelta(0))
    await repair.run()
    assert repair.repaired == {QUEUE: {"stub": 1}}
    assert repair.long == {(QUEUE, b"passed")}
    await yard.execute("LTRIM", yard.keys.pending, 0, 10)
    await repair.run()
    assert repair.repaired == {QUEUE: {"stub": 1, "unlisted": 1}}
    assert repair.long == set()
    assert await yard.execute("LINDEX", yard.keys.pending, -1) == b"passed"


async def test_two_repairs_at_once_repair_and_count_each_task_once(yard: Yard, doctor: Broker) -> None:
    """Both have found the same before one of them repairs it."""
    for task_id, state in (("a", "pending"), ("b", "pending"), ("c", "retry")):
        await yard.hash(task_id, msg=message(task_id), state=state, pending_since="1")

    mark = await _marks(yard, doctor)
    call = repair_script(yard.keys, mark, max_crashes=3)
    assert await doctor.run(call) == ["unlisted"] * 3
    assert await doctor.run(call) == [""] * 3
    assert sorted(await yard.members(yard.keys.pending)) == ["a", "b"]
    # A worker takes the tasks and hands them back: the list is the same, but the tasks have moved.
    await yard.execute("DEL", yard.keys.pending)
    assert await doctor.run(call) == [""] * 3


async def _marks(yard: Yard, broker: Broker) -> list[Discrepancy]:

    return [each async for _, each in Comparison(broker).find() if isinstance(each, Discrepancy)]


async def test_a_task_that_moves_between_two_looks_is_left_alone(yard: Yard, doctor: Broker) -> None:
    await yard.hash("taken", msg=message("taken"), state="active", rota_token="w-1")
    await yard.hash("back", msg=message("back"), state="pending")
    await yard.execute("SET", yard.keys.base + OWN_LOCK, "gone")

    class Moving(Repair):
        async def _running_tasks(self) -> set[tuple[str, str]]:
            await yard.hash("taken", rota_token="w-2")
            await yard.execute("LPUSH", yard.keys.pending, "back")
            await yard.execute("SET", yard.keys.base + OWN_LOCK, "another")
            return set()

    repair = Moving(doctor, delay=timedelta(0))
    await repair._pass()
    assert repair.total == 0
    assert await yard.members(yard.keys.pending) == ["back"]
    assert await yard.execute("GET", yard.keys.base + OWN_LOCK) == b"another"


async def test_a_running_task_whose_state_names_another_place_keeps_its_lease(yard: Yard, doctor: Broker) -> None:
    """Even if its lease comes by before its place does."""
    far = await yard.now() + 1000
    for task_id in ("oldest", "other", "running"):
        await yard.active(task_id, far)
    await yard.hash("running", state="scheduled")
    cursors, troubles = ("0",) * 7, []
    while any(cursors):
        page = await doctor.run(places(yard.keys, cursors, 1))
        cursors = page.cursors
        troubles += [(finding.id, finding.trouble) for finding in page.findings]
    assert troubles == [(b"running", "misplaced")]


async def test_a_page_says_where_to_go_on(yard: Yard, doctor: Broker) -> None:
    for number in range(7):
        await yard.put(f"t{number}", "pending")
    page = await doctor.run(places(yard.keys, page=5))
    assert page.cursors == ("", "", "5", "", "", "", "")
    page = await doctor.run(places(yard.keys, page.cursors, 5))
    assert not any(page.cursors)


async def test_any_number_of_findings_is_repaired_in_batches(
    yard: Yard, doctor: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.inspect.doctor.repair.MOST_FINDINGS", 300)
    script = """
    for i = 1, 1000 do
      redis.call('HSET', KEYS[1] .. 't:' .. i, 'msg', 'm', 'state', 'retry')
      redis.call('ZADD', KEYS[1] .. 'archived', i, 'ghost' .. i)
    end"""
    await yard.execute("EVAL", script, 1, yard.keys.base)
    repair = Repair(doctor, delay=timedelta(0))
    await repair.run()
    assert repair.repaired == {QUEUE: {"unlisted": 1000, "ghost": 1000}}
    assert await yard.number("ZCARD", yard.keys.retry) == 1000
    assert await found(doctor) == {}
