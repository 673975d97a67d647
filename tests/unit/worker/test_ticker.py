import asyncio
import logging
from datetime import timedelta
from functools import partial

import pytest

from rota.errors import BrokerUnavailable
from rota.worker import ticker as pace_module
from rota.worker import ticker as ticker_module
from rota.worker.ticker import Ticker


class Stopped(BaseException):
    """Ends the beat of a test."""


class Sleeps:
    """Stands in for `asyncio.sleep`: notes how long, and ends the beat after some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.seconds: list[float] = []
        self._most = most
        monkeypatch.setattr(pace_module.asyncio, "sleep", self)

    async def __call__(self, seconds: float) -> None:
        if len(self.seconds) == self._most:
            raise Stopped
        self.seconds.append(seconds)


async def keep(ticker: Ticker, act: object) -> None:
    with pytest.raises(Stopped):
        await ticker.keep(act)  # type: ignore[arg-type]


async def test_an_act_is_repeated_a_tenth_around_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeps = Sleeps(monkeypatch, 20)
    acts = 0

    async def act() -> None:
        nonlocal acts
        acts += 1

    await keep(Ticker("tester", timedelta(seconds=10)), act)
    assert acts == 21
    assert all(9 <= seconds <= 11 for seconds in sleeps.seconds)
    assert len(set(sleeps.seconds)) > 1


async def test_an_act_may_say_when_its_next_turn_is(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeps = Sleeps(monkeypatch, 3)

    async def act() -> timedelta:
        return timedelta(seconds=1)

    await keep(Ticker("tester", timedelta(seconds=10)), act)
    assert sleeps.seconds
    assert all(0.9 <= seconds <= 1.1 for seconds in sleeps.seconds)


async def test_an_outage_is_logged_once_and_waited_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Sleeps(monkeypatch, 1)
    pauses: list[float] = []
    at_once = partial(asyncio.timeout, 0)

    def timeout(seconds: float) -> asyncio.Timeout:
        pauses.append(seconds)
        return at_once()

    monkeypatch.setattr(ticker_module.asyncio, "timeout", timeout)
    ticker = Ticker("tester", timedelta(seconds=10))
    turns = 0

    async def act() -> None:
        nonlocal turns
        turns += 1
        if turns <= 5:
            raise BrokerUnavailable("gone fishing")

    with caplog.at_level(logging.INFO, "rota.worker"):
        await keep(ticker, act)
    assert ticker.errors == 5
    records = [record for record in caplog.records if record.name == "rota.worker"]
    assert [record.levelname for record in records] == ["ERROR", "INFO"]
    assert "gone fishing" in caplog.text
    longest = [0.5, 1, 2, 4, 8]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))


async def test_any_other_error_is_logged_with_its_trace_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Sleeps(monkeypatch, 2)

    async def act() -> None:
        raise LookupError("a slip")

    ticker = Ticker("tester", timedelta(seconds=10))
    await keep(ticker, act)
    assert ticker.errors == 3
    assert caplog.text.count("LookupError: a slip") == 3


async def test_a_cancelled_beat_ends() -> None:
    async def act() -> None:
        return None

    running = asyncio.create_task(Ticker("tester", timedelta(seconds=10)).keep(act))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
