"""Recording outcomes: every kind, refused ones, repeated ones."""

import pytest

from rota.wire.fetch import fetch
from rota.wire.outcome import FENCED, GONE, RECORDED, Outcome, done, record
from rota.wire.proto import TaskMessage
from tests.integration.wire.conftest import Seed

TOKEN = "token-1"


async def take(seed: Seed, *ids: str, token: str = TOKEN, **fields: object) -> None:
    await seed.pending(*ids, **fields)
    await seed.broker.run(fetch([(seed.keys, len(ids))], token=token, wanted=len(ids), lease_seconds=30))


async def put(seed: Seed, *outcomes: Outcome) -> dict[int, int]:
    return await seed.broker.run(record(seed.keys, outcomes))


async def assert_released(seed: Seed) -> None:
    assert await seed.ids("active") == []
    assert await seed.ids("lease") == []


async def test_plain_successes_leave_only_counters(seed: Seed) -> None:
    await take(seed, "a", "b")
    assert await seed.broker.run(done(seed.keys, ["a", TOKEN, "b", TOKEN])) == {}
    names = sorted(key.decode() for key in await seed.broker.admin.execute("KEYS", "*"))
    assert len(names) == 2
    assert names[0] == seed.keys.processed
    assert names[1].startswith(seed.keys.processed + ":20")
    assert await seed.counter("processed") == 2


async def test_the_day_counter_is_named_by_the_servers_utc_date_and_expires_after_90_days(seed: Seed) -> None:
    from datetime import UTC, datetime

    await take(seed, "a")
    moments = [await seed.now()]
    await seed.broker.run(done(seed.keys, ["a", TOKEN]))
    moments.append(await seed.now())
    [day] = {datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d") for at in moments} & {
        key.decode().rpartition(":")[2] for key in await seed.broker.admin.execute("KEYS", f"{seed.keys.processed}:*")
    }
    assert await seed.counter(f"processed:{day}") == 1
    ttl = await seed.broker.admin.execute("TTL", f"{seed.keys.processed}:{day}")
    assert 90 * 86400 - 60 < ttl <= 90 * 86400


async def test_a_completed_task_is_kept_with_its_result_and_gives_its_lock_back(seed: Seed) -> None:
    lock = seed.keys.base + "unique:t:x"
    await seed.broker.admin.execute("SET", lock, "a")
    await take(seed, "a", unique_key=lock)
    before = int(await seed.now())
    assert await put(seed, Outcome("a", TOKEN, "complete", message=b"new", seconds=60, text=b"42")) == {}
    assert await seed.ids("completed") == ["a"]
    score = float(await seed.broker.admin.execute("ZSCORE", seed.keys.completed, "a"))
    assert before + 60 <= score <= await seed.now() + 60
    assert await seed.field("a", "result") == "42"
    assert await seed.field("a", "msg") == "new"
    assert await seed.field("a", "state") == "completed"
    assert not await seed.broker.admin.execute("EXISTS", lock)
    await assert_released(seed)


async def test_a_counted_retry_counts_as_processed_and_failed(seed: Seed) -> None:
    await take(seed, "a")
    before = await seed.now()
    assert await put(seed, Outcome("a", TOKEN, "retry", message=b"m", seconds=2.5, text=b"boom")) == {}
    score = float(await seed.broker.admin.execute("ZSCORE", seed.keys.retry, "a"))
    assert before + 2.5 <= score + 1e-5 <= await seed.now() + 2.51
    assert (await seed.counter("processed"), await seed.counter("failed")) == (1, 1)
    assert await seed.field("a", "state") == "retry"
    await assert_released(seed)


async def test_a_retry_that_does_not_count_touches_no_counter(seed: Seed) -> None:
    await take(seed, "a")
    await put(seed, Outcome("a", TOKEN, "retry", seconds=1, counts=False))
    assert (await seed.counter("processed"), await seed.counter("failed")) == (0, 0)
    assert await seed.ids("retry") == ["a"]


async def test_an_archived_task_keeps_asynqs_lock_and_loses_ours(seed: Seed) -> None:
    theirs, ours = seed.keys.base + "unique:t:1", seed.keys.base + "unique:t:2"
    await seed.broker.admin.execute("MSET", theirs, "a", ours, "b")
    await take(seed, "a", unique_key=theirs)
    await take(seed, "b", unique_key=ours, rota_unique="running")
    await put(seed, *(Outcome(task, TOKEN, "archive", message=b"m", text=b"boom") for task in ("a", "b")))
    assert await seed.ids("archived") == ["a", "b"]
    assert await seed.broker.admin.execute("EXISTS", theirs, ours) == 1
    assert await seed.broker.admin.execute("EXISTS", theirs) == 1
    assert (await seed.counter("processed"), await seed.counter("failed")) == (2, 2)


async def test_a_cancelled_task_is_archived_as_such_and_is_no_failure(seed: Seed) -> None:
    await take(seed, "a")
    await put(seed, Outcome("a", TOKEN, "archive", text=b"by hand", ending="cancelled"))
    assert await seed.field("a", "rota_end") == "cancelled"
    assert (await seed.counter("processed"), await seed.counter("failed")) == (1, 0)


async def test_a_failure_of_a_task_that_was_asked_to_stop_ends_it_instead_of_retrying(seed: Seed) -> None:
    await take(seed, "a")
    await seed.broker.admin.execute("HSET", seed.keys.task("a"), "rota_cancel", "by hand")
    await put(seed, Outcome("a", TOKEN, "retry", message=b"m", seconds=5))
    assert await seed.ids("retry") == []
    assert await seed.ids("archived") == ["a"]
    assert await seed.field("a", "rota_end") == "cancelled"


async def test_a_requeued_task_is_first_in_line_and_uses_up_nothing(seed: Seed) -> None:
    await take(seed, "a")
    await seed.pending("b")
    await put(seed, Outcome("a", TOKEN, "requeue"))
    assert await seed.ids("pending") == ["b", "a"]
    assert await seed.field("a", "state") == "pending"
    assert await seed.field("a", "pending_since") is not None
    assert await seed.counter("processed") == 0
    await assert_released(seed)


async def test_a_postponed_task_waits_as_scheduled(seed: Seed) -> None:
    await take(seed, "a")
    await put(seed, Outcome("a", TOKEN, "postpone", seconds=3))
    assert await seed.ids("scheduled") == ["a"]
    assert await seed.field("a", "state") == "scheduled"


async def test_tasks_that_go_back_together_keep_their_order(seed: Seed) -> None:
    await take(seed, "a", "b", "c")
    await seed.pending("later")
    await put(seed, *(Outcome(task_id, TOKEN, "requeue") for task_id in "abc"))
    assert await seed.ids("pending") == ["later", "c", "b", "a"]


@pytest.mark.parametrize("kind", ["done", "complete", "retry", "archive", "requeue", "postpone"])
async def test_a_late_attempt_cannot_touch_the_run_that_replaced_it(seed: Seed, kind: str) -> None:
    await take(seed, "a", token="old")
    await put(seed, Outcome("a", "old", "requeue"))
    await seed.broker.run(fetch([(seed.keys, 1)], token="new", wanted=1, lease_seconds=30))
    before = await seed.broker.admin.execute("HGETALL", seed.keys.task("a"))
    assert await put(seed, Outcome("a", "old", kind, seconds=1)) == {0: FENCED}  # type: ignore[arg-type]
    assert await seed.broker.run(done(seed.keys, ["a", "old"])) == {0: FENCED}
    assert await seed.broker.admin.execute("HGETALL", seed.keys.task("a")) == before
    assert await seed.ids("active") == ["a"]
    assert await seed.counter("processed") == 0


async def test_after_its_lease_an_attempt_is_also_held_to_its_message_because_go_leaves_our_token_in_place(
    seed: Seed,
) -> None:
    await take(seed, "a")
    await seed.broker.admin.execute("HSET", seed.keys.task("a"), "msg", b"rewritten by a Go recoverer")
    assert await put(seed, Outcome("a", TOKEN, "done", expected=b"as it was fetched")) == {0: FENCED}
    assert await put(seed, Outcome("a", TOKEN, "done", expected=b"rewritten by a Go recoverer")) == {}


@pytest.mark.parametrize("how", ["done", "record"])
async def test_an_attempt_cannot_end_what_a_go_server_has_taken_since(seed: Seed, how: str) -> None:
    """A worker that froze while it recorded: our token is still in the hash, but the lease is Go's now."""
    await take(seed, "a")
    await seed.broker.admin.execute("ZADD", seed.keys.lease, int(await seed.now()) + 30, "a")
    late = done(seed.keys, ["a", TOKEN]) if how == "done" else record(seed.keys, [Outcome("a", TOKEN, "done")])
    assert await seed.broker.run(late) == {0: FENCED}
    assert await seed.ids("active") == await seed.ids("lease") == ["a"]
    assert await seed.counter("processed") == 0


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("done", GONE), ("complete", RECORDED), ("retry", RECORDED), ("archive", RECORDED), ("requeue", RECORDED)],
)
async def test_an_outcome_sent_twice_is_recorded_once(seed: Seed, kind: str, answer: int) -> None:
    await take(seed, "a")
    outcome = Outcome("a", TOKEN, kind, seconds=60)  # type: ignore[arg-type]
    assert await put(seed, outcome) == {}
    counted = await seed.counter("processed")
    assert await put(seed, outcome) == {0: answer}
    assert await seed.counter("processed") == counted


@pytest.mark.parametrize("kind", ["retry", "requeue", "postpone"])
async def test_an_outcome_sent_twice_leaves_a_task_alone_that_a_go_server_runs_by_now(seed: Seed, kind: str) -> None:
    await take(seed, "a")
    outcome = Outcome("a", TOKEN, kind, seconds=60)  # type: ignore[arg-type]
    assert await put(seed, outcome) == {}
    # What Go's servers do when they forward and take a task: our token stays in its hash.
    keys = seed.keys
    await seed.broker.admin.execute("DEL", keys.pending, keys.retry, keys.scheduled)
    await seed.broker.admin.execute("LPUSH", keys.active, "a")
    await seed.broker.admin.execute("HSET", keys.task("a"), "state", "active")
    await seed.broker.admin.execute("ZADD", keys.lease, int(await seed.now()) + 30, "a")
    assert await put(seed, outcome) == {0: FENCED}
    assert await seed.broker.run(done(keys, ["a", TOKEN])) == {0: FENCED}
    assert await seed.ids("active") == ["a"]


async def test_one_refused_outcome_does_not_hold_up_the_others(seed: Seed) -> None:
    await take(seed, "a", "b")
    await seed.broker.admin.execute("DEL", seed.keys.task("a"))
    assert await put(seed, Outcome("a", TOKEN, "done"), Outcome("b", TOKEN, "done")) == {0: GONE}
    assert await seed.counter("processed") == 1
    assert not await seed.broker.admin.execute("EXISTS", seed.keys.task("a"))


async def test_the_end_of_a_task_is_announced_only_to_those_who_wait(seed: Seed) -> None:
    await take(seed, "a", "b")
    await take(seed, "c", rota_wait=1)
    channel = seed.keys.ended("c")
    async with seed.broker.subscribe(seed.keys.ended("a"), seed.keys.ended("b"), channel) as messages:
        await put(seed, Outcome("a", TOKEN, "done"), Outcome("b", TOKEN, "archive", text=b"boom"))
        await put(seed, Outcome("c", TOKEN, "complete", seconds=9, text=b'{"n":1}'))
        assert await anext(aiter(messages)) == (channel, b'completed\n{"n":1}')


async def test_full_lifetime_counters_start_again_at_one_as_in_go(seed: Seed) -> None:
    await seed.broker.admin.execute("SET", seed.keys.processed, 9223372036854775807)
    await take(seed, "a")
    await put(seed, Outcome("a", TOKEN, "retry", seconds=1))
    assert (await seed.counter("processed"), await seed.counter("failed")) == (1, 1)


async def test_a_message_is_bytes_and_survives_the_script(seed: Seed) -> None:
    await take(seed, "a")
    message = TaskMessage(type="t", payload=bytes(range(256)), id="a").SerializeToString()
    await put(seed, Outcome("a", TOKEN, "retry", message=message, seconds=1))
    assert await seed.broker.admin.execute("HGET", seed.keys.task("a"), "msg") == message


async def test_a_failure_after_a_cancelled_task_was_run_again_is_no_longer_shown_as_cancelled(seed: Seed) -> None:
    await take(seed, "a", rota_end="cancelled")
    await put(seed, Outcome("a", TOKEN, "archive", text=b"boom"))
    assert await seed.field("a", "rota_end") is None
