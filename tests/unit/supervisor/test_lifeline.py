"""The worker's end of the line, against a test that plays the supervisor."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from rota.settings.origin import CommandLine
from rota.supervisor.lifeline import Lifeline
from rota.supervisor.messages import QUIET, ProcessReport, ProcessSetup, decode, encode


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Lifeline]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    with ours, theirs:
        yield ours, Lifeline(theirs)


def test_the_setup_is_read_whole_and_not_more(pair: tuple[socket.socket, Lifeline]) -> None:
    supervisor, lifeline = pair
    setup = ProcessSetup("w1", "shop:app", CommandLine({"url": "x" * 100_000}, {"url": "--url"}))
    data = encode(setup)
    supervisor.setblocking(True)
    supervisor.sendall(data[:10])
    supervisor.sendall(data[10:] + QUIET)
    assert lifeline.read_setup() == setup


def test_a_supervisor_that_is_gone_before_it_said_anything_is_an_end(pair: tuple[socket.socket, Lifeline]) -> None:
    supervisor, lifeline = pair
    supervisor.close()
    with pytest.raises(EOFError):
        lifeline.read_setup()


async def test_it_reports_obeys_and_notices_the_end(pair: tuple[socket.socket, Lifeline]) -> None:
    supervisor, lifeline = pair
    supervisor.sendall(encode(ProcessSetup("w1", "shop:app")) + QUIET)
    lifeline.read_setup()
    quiet, gone = asyncio.Event(), asyncio.Event()
    reports = iter(range(10**9))
    lifeline.start(lambda: ProcessReport(ended=next(reports)), {QUIET: quiet.set}, gone.set, 0.005)

    async with asyncio.timeout(30):
        await quiet.wait()  # it had come together with the setup
    data = await asyncio.to_thread(supervisor.recv, 65536)
    assert decode(data.splitlines()[0]) == ProcessReport(ended=0)
    assert not gone.is_set()
    supervisor.close()
    async with asyncio.timeout(30):
        await gone.wait()


async def test_a_supervisor_that_does_not_read_blocks_nobody(pair: tuple[socket.socket, Lifeline]) -> None:
    supervisor, lifeline = pair
    made = 0

    def report() -> ProcessReport:
        nonlocal made
        made += 1
        return ProcessReport(ended=made, queues=["q" * 10_000])

    quiet, gone = asyncio.Event(), asyncio.Event()
    lifeline.start(report, {QUIET: quiet.set}, gone.set, 0.001)
    async with asyncio.timeout(10):
        while made < 300:  # far more than the socket's buffer holds
            await asyncio.sleep(0.005)
    supervisor.sendall(QUIET)
    async with asyncio.timeout(30):
        await quiet.wait()
    data = await asyncio.to_thread(supervisor.recv, 65536)
    assert isinstance(decode(data.splitlines()[0]), ProcessReport)
    supervisor.close()
    async with asyncio.timeout(30):
        await gone.wait()


async def test_a_report_that_cannot_be_read_does_not_end_the_line(
    pair: tuple[socket.socket, Lifeline], caplog: pytest.LogCaptureFixture
) -> None:
    supervisor, lifeline = pair
    supervisor.sendall(encode(ProcessSetup("w1", "shop:app")))
    lifeline.read_setup()
    reports = iter([RuntimeError("changed while it was read"), ProcessReport(ended=7)])

    def report() -> ProcessReport:
        told = next(reports, ProcessReport(ended=7))
        if isinstance(told, Exception):
            raise told
        return told

    gone = asyncio.Event()
    lifeline.start(report, {}, gone.set, 0.005)
    data = await asyncio.to_thread(supervisor.recv, 65536)
    assert decode(data.splitlines()[0]) == ProcessReport(ended=7)
    assert "changed while it was read" in caplog.text
    supervisor.close()
    async with asyncio.timeout(30):
        await gone.wait()
