"""Workers publish the task types that they handle: once for all equal processes, again when Redis has lost them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

import pytest
from pydantic import Field

from rota import Rota
from rota.broker import Broker
from rota.inspect import TypeList
from rota.tasks.type_record import PublishedTypes, TypeRecord, pack
from rota.wire import owner, server_record
from rota.wire.keys import Keys
from rota.wire.script import Call
from rota.wire.server_record import ServerState
from tests.integration.worker.conftest import Bench, eventually

STATE = ServerState(host="h", pid=1, server_id="s", concurrency=1, queues={"q": 1})
OTHER = ServerState(host="h", pid=2, server_id="o", concurrency=1, queues={"q": 1})
TYPES = pack([TypeRecord(type="a:b")])


@pytest.fixture
async def broker(app: Rota) -> AsyncIterator[Broker]:
    async with app.connect() as broker:
        yield broker


async def beat(broker: Broker, state: ServerState, types: PublishedTypes = TYPES) -> bool:
    """Beat, and return whether the server has to publish its types."""
    calls = server_record.beat(broker.keys, state, [], spread=broker.clustered, types=types.digest)
    return any([(await broker.run(call)).types_missing for call in calls])


async def published(bench: Bench) -> TypeList:
    """Wait until all live workers have published their types."""

    async def look() -> TypeList | None:
        found = await bench.inspector.types()
        return found if found.types and not found.unpublished else None

    found = await eventually(look)
    assert isinstance(found, TypeList)
    return found


def register(app: Rota) -> None:
    @app.task("mail:send", queue="mail", timeout="30s")
    async def send(user_id: int, locale: str = "en") -> None:
        """Send a mail."""


async def test_worker_publishes_its_types_soon_after_its_start_and_removes_them_at_its_end(
    app: Rota, bench: Bench
) -> None:
    register(app)
    async with app.worker(heartbeat="5s", queues="default=1,mail=2") as worker:  # the first regular beat is too late
        [snapshot] = (await published(bench)).types
        keys = worker.queue_keys()
        assert sorted(key.queue for key in keys) == list(snapshot.queues)
        assert snapshot.servers == (worker.server_id,)
        [version] = snapshot.versions
        assert (version.type, version.summary, version.defaults.queue) == ("mail:send", "Send a mail.", "mail")
        assert version.schema is not None
        assert version.schema["properties"]["locale"]["default"] == "en"

    assert await bench.inspector.types() == TypeList()
    assert await bench.execute("EXISTS", bench.broker.keys.types) == 0


async def test_types_are_published_again_after_the_server_has_lost_everything(app: Rota, bench: Bench) -> None:
    register(app)
    async with app.worker():
        await published(bench)
        for name in await bench.broker.admin.execute("KEYS", "*"):
            await bench.execute("DEL", name.decode())
        assert [each.type for each in (await published(bench)).types] == ["mail:send"]


async def test_type_that_is_registered_later_is_published_too(app: Rota, bench: Bench) -> None:
    register(app)
    async with app.worker():
        await published(bench)

        @app.task("mail:later")
        async def later() -> None: ...

        async def look() -> bool:
            return (await bench.inspector.types()).find("mail:later") is not None

        await eventually(look)


async def test_only_the_first_of_equal_servers_sends_the_record_and_later_beats_extend_it(
    bench: Bench, broker: Broker
) -> None:
    record = broker.keys.published_types(TYPES.digest)
    assert await beat(broker, STATE) is True
    await broker.run(server_record.publish(broker.keys, *TYPES))
    assert await beat(broker, OTHER) is False

    await bench.execute("EXPIRE", record, 2)
    await bench.execute("EXPIRE", broker.keys.types, 2)
    assert await beat(broker, STATE) is False
    for key in (record, broker.keys.types):
        assert 5 < int(str(await bench.execute("TTL", key))) <= 10

    [snapshot] = (await bench.inspector.types()).types
    assert snapshot.servers == ("o", "s")


async def test_end_of_one_server_leaves_the_record_of_the_others(bench: Bench, broker: Broker) -> None:
    for state in (STATE, OTHER):
        await beat(broker, state)
    await broker.run(server_record.publish(broker.keys, *TYPES))
    for call in server_record.clear(broker.keys, STATE, types=TYPES.digest):
        await broker.run(call)

    [snapshot] = (await bench.inspector.types()).types
    assert snapshot.servers == ("o",)


async def test_supervisor_extends_the_types_of_a_late_worker_too(bench: Bench, broker: Broker) -> None:
    await beat(broker, STATE)
    await broker.run(server_record.publish(broker.keys, *TYPES))
    record = broker.keys.published_types(TYPES.digest)
    await bench.execute("EXPIRE", record, 2)
    for call in owner.listed(broker.keys, STATE.host, STATE.pid, STATE.server_id, types=TYPES.digest):
        assert not (await broker.run(call)).types_missing
    assert int(str(await bench.execute("TTL", record))) > 5


async def test_record_of_another_digest_is_a_second_version(bench: Bench, broker: Broker) -> None:
    newer = pack([TypeRecord(type="a:b", doc="New.")])
    for state, types in ((STATE, TYPES), (OTHER, newer)):
        assert await beat(broker, state, types) is True
        await broker.run(server_record.publish(broker.keys, *types))

    [snapshot] = (await bench.inspector.types()).types
    assert {version.servers: version.doc for version in snapshot.versions} == {("s",): "", ("o",): "New."}


async def test_schema_of_five_megabytes_harms_neither_the_worker_nor_the_list(app: Rota, bench: Bench) -> None:
    @app.task("big:schema", retention="1h")
    async def big(number: Annotated[int, Field(description="x" * 5_000_000)]) -> None: ...

    async with app.worker():
        [snapshot] = (await published(bench)).types
        assert snapshot.versions[0].schema is None
        assert "The schema is left out" in snapshot.versions[0].notes[0]
        await bench.in_state((await big.enqueue(7)).id, "completed")


async def test_list_of_types_that_another_program_broke_costs_a_running_task_nothing(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    @app.task("a:long", retention="1h")
    async def long() -> None:
        await release.wait()

    await bench.execute("SET", bench.broker.keys.types, "x")
    async with app.worker() as worker:
        job = await long.enqueue()
        await bench.in_state(job.id, "active")

        [attempt] = worker.held()
        before = attempt.lease_until

        async def extended() -> bool:
            return worker.heartbeat.statistics().errors > 3 and attempt.lease_until > before

        await eventually(extended)
        release.set()
        assert (await bench.in_state(job.id, "completed")).retried == 0
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


async def test_record_that_cannot_be_written_is_logged_once_and_does_not_fail_the_beat(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(app)
    publish = server_record.publish

    def refused(keys: Keys, types: str, record: bytes, ttl: timedelta) -> Call[None]:
        return publish(keys, types, record, timedelta(0))  # Redis refuses a life of 0 s, as it refuses when it is full

    monkeypatch.setattr(server_record, "publish", refused)
    async with app.worker() as worker:

        async def beaten() -> bool:
            return worker.heartbeat.statistics().beats > 4

        await eventually(beaten)
        assert worker.heartbeat.statistics().errors == 0
    told = [each for each in caplog.records if "cannot be published" in each.message]
    assert len(told) == 1
