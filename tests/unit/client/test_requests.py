"""The drivers, where the answer of a request is lost."""

import asyncio
import threading
from typing import Any

import pytest

from rota.broker import Broker
from rota.client import steps
from rota.client.requests import Requests, SyncRequests
from rota.client.steps import Act, Beside, Burst, Command, Everywhere, Outside, Pause, merged, together
from rota.core.sync_bridge import finish
from rota.errors import BrokerRefused, BrokerUnavailable

LOST = BrokerUnavailable("lost", maybe_applied=True)
NOT_SENT = BrokerUnavailable("not sent")


class Answers:
    """Gives its answers in turn, and raises those that are errors."""

    def __init__(self, *answers: Any) -> None:
        self.left = list(answers)

    def __call__(self, *words: Any, key: str | None = None) -> Any:
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def info() -> Act[Any]:
    return (yield Everywhere(("INFO",)))


def both() -> Act[Any]:
    return (yield from together([Command(("GET", "a")), Command(("GET", "b"))]))


def at_once(failures: int) -> float:
    return 0.0


def carried_out(act: Act[Any], monkeypatch: pytest.MonkeyPatch, **answers: Answers) -> Any:
    with Broker.from_url("redis://localhost").sync() as broker:
        for name, given in answers.items():
            monkeypatch.setattr(broker, name, given)
        return finish(SyncRequests(broker).carry_out(act))


async def test_a_command_for_all_servers_is_sent_again_if_an_answer_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert carried_out(info(), monkeypatch, execute_everywhere=Answers(LOST, {"a": b"1"})) == {"a": b"1"}
    broker = Broker.from_url("redis://localhost")
    again = Answers(LOST, {"a": b"2"})

    async def answer(*words: Any) -> Any:
        return again(*words)

    monkeypatch.setattr(broker, "execute_everywhere", answer)
    assert await Requests(broker).carry_out(info()) == {"a": b"2"}


def test_a_command_that_was_not_sent_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokerUnavailable, match="not sent"):
        carried_out(info(), monkeypatch, execute_everywhere=Answers(NOT_SENT))


def test_a_read_of_a_burst_is_sent_again_alone_if_its_answer_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert carried_out(both(), monkeypatch, execute=Answers(LOST, b"2", b"1")) == [b"1", b"2"]


def test_lost_answers_of_a_burst_are_asked_for_together_until_each_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "pause_seconds", at_once)
    assert carried_out(both(), monkeypatch, execute=Answers(LOST, LOST, LOST, b"2", b"1")) == [b"1", b"2"]


def test_the_first_error_of_a_burst_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokerRefused, match="no"):
        carried_out(both(), monkeypatch, execute=Answers(b"1", BrokerRefused("no")))


def asking(*rounds: list[str]) -> Act[list[Any]]:
    """Send a burst for each round, and return all answers."""
    found: list[Any] = []
    for keys in rounds:
        found += yield Burst([Command(("GET", key)) for key in keys])
    return found


def test_acts_that_go_on_together_share_their_bursts() -> None:
    sent: list[list[str]] = []

    def answered(act: Act[Any]) -> Any:
        answer: Any = None
        while True:
            try:
                step: Any = act.send(answer)
            except StopIteration as end:
                return end.value
            answer = [request.words[1] for request in step.requests]
            sent.append(answer)

    results = answered(merged(asking(["a", "b"], ["c"]), asking([]), asking(["d"], ["e"], ["f"])))
    assert sent == [["a", "b", "d"], ["c", "e"], ["f"]]
    assert results == [["a", "b", "c"], [], ["d", "e", "f"]]
    assert answered(merged()) == []


class Slow:
    """Something outside that goes on until `act` has begun, and then notes that it has ended."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()
        self._error = error

    async def __call__(self) -> str:
        while not self.begun.is_set():
            await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        self.ended.set()
        return "outside"

    def act(self, error: BaseException | None = None) -> Act[str]:
        """Let the outside go on, and then end, or fail."""
        self.begun.set()
        if error is not None:
            raise error
        return "act"
        yield


def beside(slow: Slow, error: BaseException | None = None) -> Act[Any]:
    return (yield Beside(Outside(slow), slow.act(error)))


async def test_an_act_goes_on_beside_something_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Broker.from_url("redis://localhost") as broker:
        assert await Requests(broker).carry_out(beside(Slow())) == ("outside", "act")
    assert await asyncio.to_thread(carried_out, beside(Slow()), monkeypatch) == ("outside", "act")


async def test_the_error_of_the_outside_is_raised_after_the_act(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Slow(NOT_SENT)
    with pytest.raises(BrokerUnavailable):
        await asyncio.to_thread(carried_out, beside(failing), monkeypatch)
    async with Broker.from_url("redis://localhost") as broker:
        with pytest.raises(BrokerUnavailable):
            await Requests(broker).carry_out(beside(Slow(NOT_SENT)))


@pytest.mark.parametrize("error", [LOST, KeyboardInterrupt()])
async def test_in_blocking_code_the_outside_has_ended_when_the_error_of_the_act_is_raised(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    slow, ended = Slow(), list[bool]()

    def carry_out() -> None:
        try:
            carried_out(beside(slow, error), monkeypatch)
        except (BrokerUnavailable, KeyboardInterrupt):
            ended.append(slow.ended.is_set())

    await asyncio.to_thread(carry_out)
    assert ended == [True]


async def test_a_cancelled_act_leaves_nothing_going_on_outside() -> None:
    slow = Slow()

    def waits() -> Act[Any]:
        return (yield Beside(Outside(slow), pause()))

    async with Broker.from_url("redis://localhost") as broker:
        carrying_out = asyncio.create_task(Requests(broker).carry_out(waits()))
        while len(asyncio.all_tasks()) < 3:
            await asyncio.sleep(0)
        carrying_out.cancel()
        with pytest.raises(asyncio.CancelledError):
            await carrying_out
        assert asyncio.all_tasks() == {asyncio.current_task()}


def pause() -> Act[None]:
    yield Pause(60)
