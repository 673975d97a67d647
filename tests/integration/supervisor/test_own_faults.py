"""One fault in a part of the supervisor ends no part: leases are kept, tasks come back, places are filled."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rota.app import Rota
from rota.settings.origin import CommandLine
from rota.settings.settings import Settings
from rota.supervisor.fleet import Order
from rota.supervisor.kind import WORKER
from rota.supervisor.lease_keeper import LeaseKeeper
from rota.supervisor.messages import Introduction, ProcessReport, ProcessSetup, encode
from rota.supervisor.process import ChildProcess
from rota.supervisor.reclaim import Reclaim, ServedQueues
from rota.supervisor.replacement import RestartBackoff
from rota.supervisor.supervisor import Supervisor
from tests.integration.supervisor.conftest import Shift
from tests.integration.supervisor.test_reclaim import Dead
from tests.integration.worker.yard import QUEUE, Yard, open_yard


@pytest.fixture
async def yard(redis_url: str) -> AsyncIterator[Yard]:
    async with open_yard(redis_url) as yard:
        yield yard


class FailingOnce(ServedQueues):
    """Fails by a fault of ours when it is asked first."""

    failed = False

    async def of(self, *processes: ChildProcess) -> list[Any]:
        if not self.failed:
            self.failed = True
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a fault of ours")
        return await super().of(*processes)


class Late(Dead):
    """One that lives and has not beaten for long."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(worker_id)
        self.exit = None
        self.introduced_at = 0.0
        self.report = ProcessReport(ready=True, beat_at=time.monotonic() - 100)


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_leases_are_kept_after_a_look_that_failed(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(queues=QUEUE, heartbeat="10ms")
    keeper = LeaseKeeper(yard.broker, FailingOnce(yard.broker, settings.worker.queues), settings.worker)
    await yard.active("a", 7.5, rota_token="late-1")

    await keeper.look([Late("late")])
    assert float(await yard.execute("ZSCORE", yard.keys.lease, "a")) == 7.5
    assert "a fault of ours" in caplog.text

    await keeper.look([Late("late")])
    assert float(await yard.execute("ZSCORE", yard.keys.lease, "a")) > 7.5


async def test_tasks_come_back_although_giving_them_back_failed_first(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    await yard.active("a", 99.5, rota_token="dead-1")
    returns = Reclaim(yard.broker, FailingOnce(yard.broker, [QUEUE]), 3, print)

    returns.begin(Dead("dead"))
    await returns.finish(lambda: 10)

    assert await yard.members(yard.keys.pending) == ["a"]
    assert "a fault of ours" in caplog.text


async def test_a_line_that_makes_no_sense_does_not_end_the_hearing() -> None:
    lines = b'garbage\n{"report": {"of": "a later version"}}\n' + encode(Introduction({}, "here", 7, "s1"))
    script = f"import os, time; os.write(0, {lines!r}); time.sleep(60)"
    ended: list[ChildProcess] = []
    kind = replace(WORKER, command=(sys.executable, "-c", script))
    process = await ChildProcess.start(kind, ProcessSetup("w", "no:app"), RestartBackoff(), ended.append)

    await asyncio.wait_for(process.introduced.wait(), 30)

    assert process.introduction is not None
    process.kill()
    await asyncio.wait_for(process.ended.wait(), 30)


@asynccontextmanager
async def supervised(url: str, **said: object) -> AsyncIterator[Supervisor]:
    """A supervisor in this process, with real worker processes."""
    quick = {"url": url, "heartbeat": "500ms", "shutdown_timeout": "1s", "concurrency": 2}
    supervisor = Supervisor(
        Order("tests.integration.supervisor.shift:app", CommandLine({**quick, **said}), show_banner=False)
    )
    running = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: any(process.report.ready for process in supervisor.processes))
        yield supervisor
    finally:
        supervisor.stop()
        supervisor.stop()
        assert await asyncio.wait_for(running, 20) == 0


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> list[object]:
    """Let so many starts of a process fail; return all that were tried."""
    real, tried = ChildProcess.start, list[object]()

    async def start(*words: Any, **more: Any) -> ChildProcess:
        tried.append(words)
        if len(tried) <= times:
            raise error
        return await real(*words, **more)

    monkeypatch.setattr(ChildProcess, "start", start)
    return tried


async def test_the_place_of_a_dead_process_is_filled_although_the_start_failed_by_a_fault(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTA_URL", redis_url)
    async with supervised(redis_url) as supervisor:
        [first] = supervisor.processes
        tried = refuse(monkeypatch, RuntimeError("can't start new thread"), 1)
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: len(tried) == 2 and any(process.report.ready for process in supervisor.processes))


async def test_a_process_that_cannot_be_started_for_the_load_does_not_count_as_one(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ROTA_URL", redis_url)
    monkeypatch.setenv("SHIFT_EVENTS", str(tmp_path / "events"))
    caplog.set_level("INFO", "rota.supervisor")
    async with supervised(redis_url, processes="1..2", scale_up_after="10ms", scale_down_after="1h") as supervisor:
        tried = refuse(monkeypatch, OSError("no more processes"), 3)
        app = Rota(redis_url)
        await app.enqueue_many(app.plan("shift:wait", {"seconds": 600}) for _ in range(10))
        await app.aclose()
        await until(lambda: len(tried) == 4 and len(supervisor.processes) == 2)
    grown = [record.getMessage() for record in caplog.records if "tasks wait" in record.getMessage()]
    assert grown == ["All slots are taken and tasks wait: 2 of 2 processes."]


@pytest.mark.slow
def test_a_first_process_that_hangs_while_it_loads_the_app_and_ignores_term_is_killed_in_the_end(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFT_STUCK", "1")
    shift.start()
    shift.says("stuck")

    assert shift.stop(seconds=40) == 0


async def test_a_first_process_that_takes_its_time_to_load_the_app_is_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.supervisor.supervisor.SLOW_START_SECONDS", 0.2)
    sleeps = replace(WORKER, command=(sys.executable, "-c", "import time; time.sleep(600)"))
    supervisor = Supervisor(Order("shop:app"), [sleeps])
    running = asyncio.create_task(supervisor.run())

    await until(lambda: caplog.text.count("has been loading shop:app for") >= 2)
    supervisor.stop()

    async with asyncio.timeout(20):
        assert await running == 0
