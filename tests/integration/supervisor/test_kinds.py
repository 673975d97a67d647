"""A second kind of processes beside the workers: started, restarted, replaced and stopped, and shown in health."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rota.health import discovery
from rota.settings.origin import CommandLine
from rota.settings.values import ProcessRange
from rota.supervisor.fleet import Order
from rota.supervisor.kind import WORKER, Kind, Limits
from rota.supervisor.process import ChildProcess
from rota.supervisor.replacement import Lifetime
from rota.supervisor.supervisor import Supervisor

BELL = Kind(
    name="bell",
    command=(sys.executable, "-m", "tests.integration.supervisor.bell"),
    limits=lambda settings: Limits(timedelta(seconds=60), timedelta(seconds=60), timedelta(seconds=60)),
)
LAST_BELL = replace(BELL, name="last", stop_turn=1)


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def supervised(kinds: Sequence[Kind], url: str, **said: object) -> AsyncGenerator[Supervisor]:
    quick = {"url": url, "heartbeat": "200ms", "shutdown_timeout": "1s", "concurrency": 2}
    order = Order("tests.integration.supervisor.shift:app", CommandLine({**quick, **said}), show_banner=False)
    supervisor = Supervisor(order, kinds)
    running = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: all(of(supervisor, kind) for kind in kinds))
        yield supervisor
    finally:
        for _ in range(2 - supervisor._requests):  # a third request kills
            supervisor.stop()
        assert await asyncio.wait_for(running, 30) == 0


def of(supervisor: Supervisor, kind: Kind) -> list[ChildProcess]:
    """The processes of a kind that are ready."""
    return [process for process in supervisor.processes if process.kind is kind and process.report.ready]


@pytest.fixture
def url(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ROTA_URL", redis_url)
    return redis_url


@pytest.fixture
def holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file: while it is there, no bell ends."""
    path = tmp_path / "holds"
    path.touch()
    monkeypatch.setenv("BELL_HOLDS", str(path))
    return path


async def test_second_kind_starts_after_the_first_and_is_restarted_with_back_off_when_it_dies_or_hangs(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hasty = replace(
        BELL, limits=lambda settings: Limits(timedelta(seconds=60), timedelta(seconds=1), timedelta(seconds=60))
    )
    async with supervised([WORKER, hasty], url) as supervisor:
        [worker], [bell] = of(supervisor, WORKER), of(supervisor, hasty)
        assert worker.started_at < bell.started_at
        for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP):
            [bell] = of(supervisor, hasty)
            os.kill(bell.pid, number)
            await bell.ended.wait()
            await until(lambda: of(supervisor, hasty))

        assert of(supervisor, WORKER) == [worker]
    told = [text for text in caplog.messages if text.startswith("Bell process")]
    assert "a new one starts in 0.0 s" in told[0]
    assert "a new one starts in 0." in told[1]
    assert "in 0.0 s" not in told[1]
    assert f"Bell process {bell.pid} has not sent a report for 1 s: it is killed." in caplog.messages


@pytest.mark.parametrize("overlaps", [True, False])
async def test_old_process_is_replaced_before_or_after_its_successor_starts(url: str, overlaps: bool) -> None:
    short = replace(BELL, overlaps=overlaps, lifetime=lambda settings: Lifetime(age_seconds=2))
    async with supervised([BELL, replace(short, name="short")], url) as supervisor:
        seen: set[int] = set()
        together: list[int] = []

        def replaced() -> bool:
            short = [process for process in supervisor.processes if process.kind.name == "short"]
            seen.update(process.pid for process in short)
            together.append(len(short))
            return len(seen) > 2

        await until(replaced)
    # On a busy machine a successor reaches its own age before the old process has ended, so three can overlap.
    assert (max(together) > 1) is overlaps


async def test_lower_turn_is_asked_to_stop_first_and_workers_go_on_until_it_has_ended(url: str, holds: Path) -> None:
    before = replace(BELL, stop_turn=-1)
    async with supervised([WORKER, before], url) as supervisor:
        [worker], [bell] = of(supervisor, WORKER), of(supervisor, before)
        supervisor.stop()
        await until(lambda: bell.report.stopping)
        assert worker.stop_asked_at is None

        holds.unlink()
        await worker.ended.wait()
        assert bell.exit is not None


async def test_higher_turn_is_asked_to_stop_when_the_others_have_ended(url: str, holds: Path) -> None:
    async with supervised([BELL, LAST_BELL], url) as supervisor:
        [first], [last] = of(supervisor, BELL), of(supervisor, LAST_BELL)
        supervisor.stop()
        await until(lambda: first.report.stopping)
        assert last.stop_asked_at is None

        holds.unlink()
        await last.ended.wait()
        assert first.exit is not None


async def test_second_request_stops_all_kinds_at_once(url: str, holds: Path) -> None:
    async with supervised([BELL, LAST_BELL], url) as supervisor:
        [first], [last] = of(supervisor, BELL), of(supervisor, LAST_BELL)
        supervisor.stop()
        supervisor.stop()
        await until(lambda: first.report.stopping and last.report.stopping)
        holds.unlink()


async def test_other_kinds_end_with_a_burst(url: str) -> None:
    order = Order("tests.integration.supervisor.shift:app", CommandLine({"url": url}), show_banner=False, burst=True)
    supervisor = Supervisor(order, [WORKER, BELL])
    assert await asyncio.wait_for(supervisor.run(), 30) == 0


async def test_second_kind_that_is_refused_ends_the_command(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELL_REFUSES", "1")
    order = Order("tests.integration.supervisor.shift:app", CommandLine({"url": url}), show_banner=False)
    assert await asyncio.wait_for(Supervisor(order, [WORKER, BELL]).run(), 30) == 2


async def test_kind_without_processes_is_not_started(url: str) -> None:
    none = replace(BELL, name="none", processes=lambda settings: ProcessRange(0, 0))
    order = Order("", CommandLine({"url": url}), show_banner=False)
    supervisor = Supervisor(order, [BELL, none])
    running = asyncio.create_task(supervisor.run())
    await until(lambda: of(supervisor, BELL))
    supervisor.stop()
    assert await asyncio.wait_for(running, 30) == 0


async def test_health_names_both_kinds_and_is_not_ready_without_one(url: str, tmp_path: Path) -> None:
    async with supervised([WORKER, BELL], url, health_dir=str(tmp_path)) as supervisor:
        [(_, path)] = discovery.sockets(tmp_path)

        async def ask(question: str) -> tuple[int, str]:
            reply = await asyncio.to_thread(discovery.ask_socket, path, question, timedelta(seconds=20))
            assert reply is not None
            return reply.status, reply.text

        [worker], [bell] = of(supervisor, WORKER), of(supervisor, BELL)
        assert await ask("/ready") == (200, f"worker {worker.pid} ready\nbell {bell.pid} ready")
        assert (await ask("/live"))[0] == 200
        assert 'rota_part_events_total{event="process_starts",part="bell"} 1.0' in (await ask("/metrics"))[1]

        monkey = replace(BELL, command=(sys.executable, "-c", "import time; time.sleep(600)"))
        supervisor._fleets[1].kind = monkey  # the next one does not get ready
        os.kill(bell.pid, signal.SIGKILL)
        await bell.ended.wait()
        status, text = await ask("/ready")
        assert status == 503
        assert text.startswith(f"worker {worker.pid} ready\nbell")
        assert text.endswith("not ready: starting")
