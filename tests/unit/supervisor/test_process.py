"""A worker process as its supervisor has it, at moments that a whole supervisor meets by chance only."""

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest

from rota.supervisor.kind import WORKER, Kind
from rota.supervisor.messages import Introduction, ProcessReport, ProcessSetup, encode
from rota.supervisor.process import ChildProcess, _spawn
from rota.supervisor.replacement import RestartBackoff


def running(code: str) -> Kind:
    return replace(WORKER, command=(sys.executable, "-c", code))


def saying(words: bytes) -> Kind:
    """A process that says this once it has its setup, as a real one: what it says before that may be lost."""
    return running(f"import socket; line = socket.socket(fileno=0); line.recv(65536); line.sendall({words!r})")


async def test_what_a_process_said_last_is_heard_although_its_end_is_known_first() -> None:
    words = encode(Introduction({}, "host", 1, "server"))
    ends: list[ChildProcess] = []
    process = await ChildProcess.start(saying(words), ProcessSetup("id", "app"), RestartBackoff(), ends.append)
    # As in a supervisor that is frozen: the words and the end have both come before it looks again.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    for thread in threading.enumerate():
        if thread.name == f"rota-wait-{process.pid}":
            thread.join()
    async with asyncio.timeout(30):
        await process.ended.wait()
    assert process.introduction is not None
    assert ends == [process]


async def test_a_process_has_ended_although_another_one_holds_its_end_of_the_line() -> None:
    leaves = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdout=-3)"
    )
    ends: list[ChildProcess] = []
    process = await ChildProcess.start(running(leaves), ProcessSetup("id", "app"), RestartBackoff(), ends.append)
    async with asyncio.timeout(30):
        await process.ended.wait()
    assert process.introduction is None
    assert ends == [process]


async def test_a_process_whose_end_no_thread_can_wait_for_is_refused_as_by_the_system_and_does_not_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def spawn(*args: Any) -> subprocess.Popen[bytes]:
        started.append(_spawn(*args))
        return started[0]

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("rota.supervisor.process._spawn", spawn)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    endless = running("import time; time.sleep(60)")
    with pytest.raises(OSError, match="can't start new thread"):
        await ChildProcess.start(endless, ProcessSetup("id", "app"), RestartBackoff(), lambda _: None)
    assert started[0].returncode is not None


async def test_a_process_whose_introduction_makes_no_sense_has_loaded_its_app_once_it_reports() -> None:
    words = b'{"introduction": {"of": "another version"}}\n' + encode(ProcessReport(ready=True))
    process = await ChildProcess.start(saying(words), ProcessSetup("id", "app"), RestartBackoff(), lambda _: None)
    async with asyncio.timeout(20):
        await process.ended.wait()
    assert (process.introduction, process.loaded) == (None, True)


async def test_a_process_that_stops_without_an_order_has_no_more_time_for_it_and_has_crashed() -> None:
    words = encode(ProcessReport(ready=True, stopping=True))
    process = await ChildProcess.start(saying(words), ProcessSetup("id", "app"), RestartBackoff(), lambda _: None)
    async with asyncio.timeout(20):
        await process.ended.wait()
    assert process.stop_asked_at is not None
    assert process.crashed
