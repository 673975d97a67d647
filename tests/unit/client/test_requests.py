"""The drivers, where the answer of a request is lost."""

from typing import Any

import pytest

from rota.broker import Broker
from rota.client import requests
from rota.client.requests import Requests, SyncRequests, finish
from rota.client.steps import Act, Command, Everywhere, together
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
    monkeypatch.setattr(requests, "pause_seconds", at_once)
    assert carried_out(both(), monkeypatch, execute=Answers(LOST, LOST, LOST, b"2", b"1")) == [b"1", b"2"]


def test_the_first_error_of_a_burst_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokerRefused, match="no"):
        carried_out(both(), monkeypatch, execute=Answers(b"1", BrokerRefused("no")))
