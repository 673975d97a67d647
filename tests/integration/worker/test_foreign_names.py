"""Queue names that look like patterns, and names and IDs that are not UTF-8: none of them stops a worker."""

import logging
from datetime import timedelta

import pytest

from rota.app import Rota
from rota.errors import TaskFailed
from rota.supervisor.reclaim import ServedQueues
from rota.wire import names
from rota.wire.edit import delete
from rota.wire.keys import QueueKeys
from rota.wire.recover import Slack
from rota.wire.watch import watch
from rota.worker.housekeeping.recoverer import Recoverer, as_failure
from tests.integration.worker.conftest import Bench, eventually
from tests.integration.worker.groups import Collector, fill, part, pending
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard

BAD = b"\xff\xfe"


@pytest.fixture(autouse=True)
def nothing_reported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_reported", set())


async def test_worker_of_a_pattern_skips_a_queue_name_that_is_not_utf8_and_says_so_once(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task("foreign:run", retention="10m")
    async def run() -> int:
        return 7

    await bench.execute("SADD", bench.broker.keys.queues, b"mail-" + BAD)
    job = await run.options(queue="mail-eu").enqueue()
    with caplog.at_level(logging.WARNING, "rota"):
        async with app.worker(queues={"mail-*": 1}, queue_refresh="50ms"):
            assert await job.result("20s") == 7
            # The second queue is found by a later look.
            assert await (await run.options(queue="mail-us").enqueue()).result("20s") == 7
    said = [line for line in caplog.messages if "not UTF-8" in line]
    assert len(said) == 1
    assert repr(b"mail-" + BAD) in said[0]


async def test_queue_whose_name_looks_like_a_pattern_is_served_under_its_own_name(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task("foreign:run", retention="10m")
    async def run() -> int:
        return 7

    with caplog.at_level(logging.WARNING, "rota"):
        async with app.worker(queues="jobs[eu]", queue_refresh="50ms") as worker:
            await worker.ready.wait()
            assert [line for line in caplog.messages if "No queue matches 'jobs[eu]' yet" in line] != []
            job = await run.options(queue="jobs[eu]").enqueue()
            assert await job.result("20s") == 7
    assert sum("No queue matches" in line for line in caplog.messages) == 1


async def test_line_feeds_in_names_and_errors_forge_no_line_of_the_log(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task("foreign:fail")
    async def fail() -> None:
        raise ValueError("boom\nERROR forged")

    with caplog.at_level(logging.INFO, "rota"):
        async with app.worker(queues=["a\nERROR forged"]):
            options = fail.options(queue="a\nERROR forged", task_id="b\nERROR forged", max_retry=0)
            await options.enqueue()
            await bench.in_state("b\nERROR forged", "archived", queue="a\nERROR forged")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("rota")]
    assert any("b\\nERROR forged" in line and "boom\\nERROR forged" in line for line in ours)
    assert [line for line in ours if not line.isprintable()] == []


async def test_task_with_an_id_that_is_not_utf8_is_archived_and_the_others_run(app: Rota, bench: Bench) -> None:
    @app.task("foreign:run", retention="10m")
    async def run(number: int) -> int:
        return number

    keys = bench.broker.keys.queue("default")
    before = await run.enqueue(1)
    await _foreign_task(bench, keys, "pending")
    after = await run.enqueue(2)
    async with app.worker() as worker:
        assert [await before.result("20s"), await after.result("20s")] == [1, 2]

        async def archived() -> object:
            return await bench.execute("ZSCORE", keys.archived, BAD)

        await eventually(archived)
        await eventually(lambda: _true(not worker.executor.held))
        [shown] = (await bench.inspector.tasks("default", "archived")).tasks
        assert shown.id == BAD.decode(errors="replace")
    assert await bench.execute("LLEN", keys.active) == 0


async def test_fields_of_a_task_that_another_program_has_written_stop_no_fetch(app: Rota, bench: Bench) -> None:
    @app.task("foreign:run", retention="10m")
    async def run(number: int) -> int:
        return number

    keys = bench.broker.keys.queue("default")
    odd = await run.options(task_id="odd").enqueue(1)
    await bench.execute("HSET", keys.task("odd"), "rota_crashes", BAD)
    await bench.execute("HSET", keys.task("type"), "msg", b"\x0a\x02" + BAD, "state", "pending")
    await bench.execute("LPUSH", keys.pending, "type")
    after = await run.enqueue(2)
    async with app.worker():
        assert [await odd.result("20s"), await after.result("20s")] == [1, 2]

        async def archived() -> object:
            return await bench.execute("ZSCORE", keys.archived, "type")

        await eventually(archived)


async def test_lease_of_a_task_with_an_id_that_is_not_utf8_is_recovered(redis_url: str) -> None:
    async with open_yard(redis_url) as yard:
        now = int(await yard.now())
        await _put_raw(yard, BAD)
        await yard.execute("LPUSH", yard.keys.active, BAD)
        await yard.execute("ZADD", yard.keys.lease, now - 60.5, BAD)
        await yard.active("other", now - 60.5, rota_token="w-1")
        slack = Slack(timedelta(seconds=5), timedelta(seconds=30))
        recoverer = Recoverer(yard.broker, as_failure(lambda _: None), slack=slack)

        assert await recoverer.recover([QUEUE]) == 2

        assert sorted(await yard.execute("LRANGE", yard.keys.pending, 0, -1)) == [b"other", BAD]


async def test_group_with_a_name_that_is_not_utf8_is_skipped_and_said_once(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_yard(redis_url) as yard:
        await fill(yard, "g", "ab")
        await yard.execute("SADD", yard.keys.groups, BAD)
        await yard.execute("ZADD", yard.keys.base.encode() + b"g:" + BAD, 1, "a")
        aggregator = part(yard, Collector())
        with caplog.at_level(logging.WARNING, "rota"):
            assert await aggregator.aggregate() == 1
            assert await aggregator.aggregate() == 0
        assert await pending(yard) == [b"a+b"]
        assert sum("not UTF-8" in line for line in caplog.messages) == 1


async def test_member_of_a_group_with_an_id_that_is_not_utf8_is_archived(redis_url: str) -> None:
    async with open_yard(redis_url) as yard:
        await fill(yard, "g", "ab")
        await _put_raw(yard, BAD, state="aggregating", group="g")
        await yard.execute("ZADD", yard.keys.group("g"), 1, BAD)
        assert await part(yard, Collector()).aggregate() == 1
        assert await pending(yard) == [b"a+b"]
        assert await yard.execute("ZRANGE", yard.keys.archived, 0, -1) == [BAD]


async def test_state_that_is_not_utf8_costs_no_connection(redis_url: str) -> None:
    async with open_yard(redis_url) as yard:
        await yard.execute("HSET", yard.keys.task("x"), "state", BAD, "msg", message("x"), "rota_end", BAD)
        link = await yard.broker.open_link(yard.keys.pending)
        found = await yard.broker.run_via(link, watch(yard.keys, "x"))
        assert not found.ended
        await yard.broker.run_via(link, delete(yard.keys, ["x"]))
        assert not link.closed
        await link.aclose()


async def test_result_of_a_task_that_cannot_be_read_is_its_failure(app: Rota, bench: Bench) -> None:
    @app.task("foreign:run", retention="10m")
    async def run() -> int:
        return 7

    job = await run.enqueue()
    await bench.execute("HSET", bench.broker.keys.queue("default").task(job.id), "msg", BAD)
    async with app.worker():
        await bench.in_state(job.id, "archived")
    with pytest.raises(TaskFailed, match="not a task message"):
        await job.result("20s")


async def test_supervisor_skips_a_queue_name_that_is_not_utf8(redis_url: str) -> None:
    async with open_yard(redis_url) as yard:
        await yard.execute("SADD", yard.broker.keys.queues, BAD, "mail-eu", "mail[eu]", "reports")
        served = ServedQueues(yard.broker, ["mail-*", "mail[eu]", "a"])
        assert [keys.queue for keys in await served.of()] == ["a", "mail-eu", "mail[eu]"]


async def _true(answer: bool) -> bool:
    return answer


async def _put_raw(yard: Yard, task_id: bytes, **fields: str) -> None:
    words = [word for pair in ({"state": "active"} | fields).items() for word in pair]
    key = yard.keys.task_prefix.encode() + task_id
    await yard.execute("HSET", key, "msg", message("x"), "rota_token", "w-1", *words)


async def _foreign_task(bench: Bench, keys: QueueKeys, place: str) -> None:
    admin = bench.broker.admin
    key = keys.task_prefix.encode() + BAD
    await admin.execute("HSET", key, "msg", message("x", type="foreign:run", payload=b'{"number":3}'), "state", place)
    await admin.execute("LPUSH", keys.base + place, BAD)
