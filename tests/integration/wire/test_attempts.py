"""The records of the attempts at a task, as the scripts write them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from rota.wire.attempts import members, records
from rota.wire.fetch import fetch
from rota.wire.outcome import Kind, Outcome, record
from rota.wire.owner import give_back
from rota.wire.recover import Move, Slack, expired, recover
from rota.worker.run.attempt import tokens
from tests.integration.wire.conftest import Seed

TOKEN = "w-1"
SLACK = Slack(timedelta(seconds=5), timedelta(seconds=30))


async def take(seed: Seed, token: str = TOKEN) -> None:
    if not await seed.ids("pending"):
        await seed.pending("a")
    taken = await seed.broker.run(fetch([(seed.keys, 1)], token=token, wanted=1, lease_seconds=30))
    assert [len(batch.tasks) for batch in taken.batches] == [2]


async def end(seed: Seed, kind: Kind, attempt: bytes, *, room: int = 16 * 1024) -> None:
    outcome = Outcome("a", TOKEN, kind, attempt=attempt)
    assert await seed.broker.run(record(seed.keys, [outcome], attempts_limit=room)) == {}


async def kept(seed: Seed) -> list[Mapping[str, Any]]:
    return records((await seed.field("a", "rota_attempts") or "").encode())


@pytest.mark.parametrize("kind", ["complete", "retry", "archive", "requeue", "postpone"])
async def test_attempt_is_recorded_on_every_path_that_keeps_the_task(seed: Seed, kind: Kind) -> None:
    await take(seed)
    await end(seed, kind, members(worker="w", error='says "ü" and\nmore'))
    assert await kept(seed) == [{"n": 1, "worker": "w", "error": 'says "ü" and\nmore'}]


async def test_outcome_without_a_record_leaves_the_field_as_it_was(seed: Seed) -> None:
    for attempt in (members(error="first"), b"", members(error="third")):
        await take(seed)
        await end(seed, "requeue", attempt)
    assert await kept(seed) == [{"n": 1, "error": "first"}, {"n": 2, "error": "third"}]


async def test_repeated_outcome_is_recorded_once(seed: Seed) -> None:
    await take(seed)
    call = record(seed.keys, [Outcome("a", TOKEN, "archive", attempt=members(error="once"))])
    await seed.broker.run(call)
    await seed.broker.run(call)
    assert [each["n"] for each in await kept(seed)] == [1]


async def test_first_attempt_and_the_last_that_fit_are_kept(seed: Seed) -> None:
    for number in range(1, 31):
        await take(seed)
        await end(seed, "requeue", members(error=f"{number:03}" * 10), room=500)
        assert len(await seed.field("a", "rota_attempts") or "") <= 500
    numbers = [each["n"] for each in await kept(seed)]
    assert numbers == [1, *range(32 - len(numbers), 31)]
    assert len(numbers) == 10  # of 50 bytes each; the first has 49


async def test_first_and_last_attempt_are_kept_although_they_need_more_than_the_limit(seed: Seed) -> None:
    for number in range(1, 5):
        await take(seed)
        await end(seed, "requeue", members(error=f"{number}" * 100), room=50)
    assert [each["n"] for each in await kept(seed)] == [1, 4]


async def test_limit_of_zero_records_nothing(seed: Seed) -> None:
    await take(seed)
    await seed.broker.run(give_back(seed.keys, "w", max_crashes=3, attempts_limit=0))
    assert await seed.field("a", "rota_attempts") is None


async def test_damaged_records_do_not_stop_a_script(seed: Seed) -> None:
    await seed.pending("a", rota_attempts="no record")
    await take(seed)
    await end(seed, "retry", members(error="boom"))
    assert await seed.ids("retry") == ["a"]


async def test_attempt_of_a_dead_worker_is_recorded_with_worker_and_times(seed: Seed) -> None:
    before = await seed.now()
    await take(seed, token=next(tokens('w "1"')))
    call = give_back(seed.keys, 'w "1"', max_crashes=3, died=members(host="h", pid=7, error="worker died: why"))
    await seed.broker.run(call)
    await seed.broker.run(call)
    [found] = await kept(seed)
    assert {name: found[name] for name in ("n", "worker", "host", "pid", "outcome", "error")} == {
        "n": 1, "worker": 'w "1"', "host": "h", "pid": 7, "outcome": "crashed", "error": "worker died: why"
    }  # fmt: skip
    assert before - 60 <= found["started"] / 1000 <= found["ended"] / 1000 + 60  # the first is by this machine's clock
    assert before - 0.001 <= found["ended"] / 1000 <= await seed.now()


async def test_attempt_that_made_its_task_a_quarantined_one_is_recorded(seed: Seed) -> None:
    await seed.pending("a", rota_crashes=2)
    await take(seed)
    await seed.broker.run(give_back(seed.keys, "w", max_crashes=3))
    assert await seed.ids("archived") == ["a"]
    assert [(each["worker"], each["outcome"]) for each in await kept(seed)] == [("w", "crashed")]


@pytest.mark.parametrize(("lease", "workers"), [(1.5, ["w"]), (1, [])], ids=["of Rota", "of Go"])
async def test_recoverer_records_only_attempts_of_rota(seed: Seed, lease: float, workers: list[str]) -> None:
    await take(seed)
    await seed.broker.admin.execute("ZADD", seed.keys.lease, lease, "a")
    [dead] = (await seed.broker.run(expired(seed.keys, SLACK))).attempts
    await seed.broker.run(recover(seed.keys, SLACK, [Move(dead, "crash" if dead.ours else "retry")]))
    assert [each["worker"] for each in await kept(seed)] == workers


async def test_task_with_a_token_of_another_form_is_recorded_without_its_start(seed: Seed) -> None:
    await take(seed, token="odd-")
    await seed.broker.run(give_back(seed.keys, "odd", max_crashes=3))
    [found] = await kept(seed)
    assert (found["worker"], found.get("started")) == ("odd-", None)
