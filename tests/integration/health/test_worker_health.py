"""A worker tells how it is, also while its loop is blocked and while it is cut off."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rota.app import Rota
from rota.broker import Broker
from rota.health.discovery import ProbeReply, ask_port
from rota.inspect.doctor import examine
from rota.wire.script import load
from rota.worker.worker import Worker
from tests.integration.client.cut import LosesReplies
from tests.integration.worker.conftest import eventually
from tests.servers.clients import client
from tests.servers.process import Server, wait_until

QUICK = {
    "heartbeat": "200ms",
    "ready_within": "1s",
    "connect_timeout": "3s",
    "response_timeout": "3s",
    "retry_for": "1s",
    "health_port": 0,
}


def ask(worker: Worker, question: str) -> ProbeReply:
    assert worker.health_port is not None
    return ask_port("127.0.0.1", worker.health_port, question, timedelta(seconds=10))


async def answers(worker: Worker, question: str, status: int, words: str = "") -> ProbeReply:
    async def look() -> ProbeReply | None:
        reply = await asyncio.to_thread(ask, worker, question)
        return reply if reply.status == status and words in reply.text else None

    reply = await eventually(look)
    assert isinstance(reply, ProbeReply)
    return reply


@pytest.fixture
def own_server() -> Iterator[Server]:
    server = Server().start()
    yield server
    server.stop()


@pytest.fixture
def app(redis_url: str) -> Rota:
    return Rota(redis_url, settings=QUICK)


async def test_a_worker_that_works_is_live_and_ready_and_counts(app: Rota) -> None:
    @app.task("health:fine")
    async def fine() -> None: ...

    async with app.worker(concurrency=3) as worker:
        await answers(worker, "/ready", 200, "ready")
        await answers(worker, "/live", 200, "live")
        for _ in range(4):
            await fine.enqueue()
        await answers(worker, "/metrics", 200, "rota_outcomes_recorded_total 4.0")
        text = (await answers(worker, "/metrics", 200)).text
        assert "rota_slots 3.0" in text
        for part in ("sweeper", "recoverer", "janitor", "forwarder", "aggregator", "subscriber"):
            assert f'part="{part}"' in text
        assert 'rota_wake_up{way="tracking"} 1.0' in text
    await app.aclose()


async def test_what_the_sweep_repairs_is_counted(app: Rota) -> None:
    """An ID in the active list that nobody has a lease for, and whose task does not exist."""
    with client(app.settings.broker.url) as raw:
        raw.sadd(app.keys.queues, "default")
        raw.lpush(app.keys.queue("default").active, "nobody")

    async with app.worker(sweep_interval="200ms") as worker:
        await answers(worker, "/metrics", 200, 'part="reconciler"')
    await app.aclose()


async def test_a_full_worker_is_ready_and_a_quiet_one_is_not(app: Rota) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @app.task("health:long")
    async def long() -> None:
        started.set()
        await go.wait()

    async with app.worker(concurrency=1) as worker:
        await long.enqueue()
        await started.wait()
        beats = worker.heartbeat.statistics().beats
        # Longer than ready_within: what the fetcher last did is too old by then.
        await eventually(lambda: _true(worker.heartbeat.statistics().beats > beats + 6), 40)
        await answers(worker, "/ready", 200)
        worker.quiet()
        await answers(worker, "/ready", 503, "asked to take no more tasks")
        await answers(worker, "/live", 200)
        go.set()
    await app.aclose()


async def _true(value: bool) -> bool:
    return value


async def test_cut_off_it_is_not_ready_but_lives_and_is_ready_again_after(own_server: Server) -> None:
    app = Rota(f"redis://127.0.0.1:{own_server.port}", settings=QUICK)
    async with app.worker() as worker:
        await answers(worker, "/ready", 200)
        own_server.freeze()
        try:
            await answers(worker, "/ready", 503, "the broker has not been reached for")
            await answers(worker, "/live", 200)
        finally:
            own_server.thaw()
        await answers(worker, "/ready", 200)
    await app.aclose()


async def test_a_worker_that_beats_but_cannot_fetch_is_not_ready_and_doctor_names_it(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its connection for fetching is cut off: a fleet with one slot was deaf for 80 s and was called healthy."""
    monkeypatch.setattr("rota.inspect.doctor.queues.TAKEN_WITHIN", timedelta(0))
    fetch = load("fetch")
    async with LosesReplies(str(own_server.socket)) as proxy:
        app = Rota(proxy.url, settings=QUICK)

        @app.task("health:waits", retention="1h")
        async def waits() -> None: ...

        async with app.worker() as worker:
            await answers(worker, "/ready", 200)
            proxy.refused = (fetch.sha.encode(), fetch.source)
            job = await waits.enqueue()
            await answers(worker, "/ready", 503, "no tasks could be taken for")
            beats = worker.heartbeat.statistics().beats
            await eventually(lambda: _true(worker.heartbeat.statistics().beats > beats + 2))
            async with Broker.from_url(own_server.unix_url) as broker:
                found = {each.code: each for each in (await examine(broker, role="inspector")).findings}
            assert f":{worker.pid} (0 of {worker.slots.capacity} in use)" in found["tasks-not-taken"].what
            proxy.refused = ()
            await job.result("30s")
            await answers(worker, "/ready", 200)
        await app.aclose()


async def test_outcomes_that_cannot_be_recorded_make_it_unready(own_server: Server) -> None:
    app = Rota(f"redis://127.0.0.1:{own_server.port}", settings=QUICK)
    started, go = asyncio.Event(), asyncio.Event()

    @app.task("health:end")
    async def end() -> None:
        started.set()
        await go.wait()

    async with app.worker() as worker:
        await end.enqueue()
        await started.wait()
        with own_server.client() as client:
            client.config_set("min-replicas-to-write", 1)
            go.set()
            # The beats do not get through either, and may say so first.
            await eventually(lambda: _true(worker.status.read().record_lost_at > 0))
            await answers(worker, "/ready", 503)
            client.config_set("min-replicas-to-write", 0)
        await answers(worker, "/ready", 200)
        await eventually(lambda: _true(worker.status.read().record_lost_at == 0))
    await app.aclose()


async def test_a_task_that_blocks_the_loop_is_named_while_it_does_and_once_in_the_log(
    app: Rota, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    @app.task("health:block")
    async def block() -> None:
        deep(20)

    def deep(calls: int) -> None:
        if calls:
            deep(calls - 1)
        else:
            # Nothing else can run in this loop: only the port can have said it.
            wait_until(lambda: seen.append(ask(worker, "/live").text) or "been blocked" in seen[-1], 20)

    caplog.set_level(logging.WARNING, "rota.worker")
    async with app.worker(blocked_after="100ms") as worker:
        receipt = await block.options(task_id="culprit").enqueue()
        loop_watchdog = worker.parts.loop_watchdog
        # At least: a busy machine may hold the loop up by itself for so long.
        await eventually(lambda: _true(loop_watchdog.statistics().longest_seconds >= 0.1))
        await eventually(lambda: _true(loop_watchdog.statistics().blocked_by == ""))
        assert "\nrota_loop_blockages_total 0.0" not in (await answers(worker, "/metrics", 200, "_blockages_")).text

    assert receipt.id == "culprit"
    assert "live: its event loop has been blocked for" in seen[-1]
    assert "culprit" not in seen[-1]
    assert "health:block" not in seen[-1]
    blocked = [record for record in caplog.records if "been blocked" in record.getMessage()]
    [said] = [record for record in blocked if "by task culprit (health:block) in queue" in record.getMessage()]
    assert "in block\n    deep(20)\n" in (said.stack_info or "")
    await app.aclose()
