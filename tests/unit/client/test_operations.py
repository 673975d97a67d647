"""Acts as dialogues: what is asked, what the answers mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.broker import Broker
from rota.client import Client
from rota.client import operations as acts
from rota.client.operations import Wait
from rota.client.steps import Act, Change, Command, Listen
from rota.client.verbs import instant
from rota.errors import BrokerUnavailable, OptionError, ResultTimeout, TaskFailed, TaskNotFound, TaskStateError
from rota.wire.edit import Edited
from rota.wire.keys import QueueKeys
from rota.wire.message import pack
from rota.wire.script import Call
from rota.wire.watch import Watched

KEYS = QueueKeys("q")


def talk(act: Act[Any], *answers: Any) -> tuple[list[Any], Any]:
    """Give the answers one after the other; return the steps and the result."""
    steps, pending = [], iter(answers)
    try:
        steps.append(act.send(None))
        while True:
            answer = next(pending)
            steps.append(act.throw(answer) if isinstance(answer, Exception) else act.send(answer))
    except StopIteration as end:
        return [_name(step) for step in steps], end.value


def described(name: str, *args: Any) -> Act[Any]:
    """Return the steps of an operation of the client on task x of queue q."""
    method: Any = getattr(Client, name)
    act: Act[Any] = method.__wrapped__(Client(Broker.from_url("redis://localhost")), "q", "x", *args)
    return act


def _name(step: Any) -> Any:
    call = step.call if isinstance(step, Change) else step
    return call.script.name if isinstance(call, Call) else step


def test_a_payload_that_changed_meanwhile_is_read_again() -> None:
    message = pack("t", b"", "x", queue="q")
    steps, _ = talk(
        described("update_payload", b"new"),
        message,
        Edited("changed", "pending", "x"),
        message,
        Edited("done", "pending", "x"),
    )
    read = Command(("HGET", "asynq:{q}:t:x", "msg"), "asynq:{q}:pending")
    assert steps == [read, "edit_payload", read, "edit_payload"]


def test_a_payload_that_never_stands_still_is_given_up() -> None:
    answers = [pack("t", b"", "x", queue="q"), Edited("changed", "pending", "x")] * 10
    with pytest.raises(TaskStateError, match="changed with every look"):
        talk(described("update_payload", b"new"), *answers)


def test_only_a_running_task_is_announced_for_cancellation() -> None:
    publish = Command(("PUBLISH", "asynq:cancel", "x"))
    for reply, expected in (("asked", ["cancel", publish]), ("done", ["cancel"]), ("ended", ["cancel"])):
        assert talk(described("cancel"), Edited(reply, "", "x"), 1)[0] == expected


def test_looking_for_the_end_becomes_rarer() -> None:
    looks = [Watched("active"), None] * 9
    steps, result = talk(acts.result(KEYS, "x", Wait.of(None)), *looks, Watched("completed", b"1"))
    pauses = [step.seconds for step in steps if isinstance(step, Listen)]
    assert result == b"1"
    assert pauses[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert pauses[-1] == 1.0


def test_looking_for_the_end_never_becomes_rarer_than_asked() -> None:
    looks = [Watched("active"), None] * 9
    steps, _ = talk(acts.result(KEYS, "x", Wait.of(None), poll_seconds=0.05), *looks, Watched("completed"))
    assert {step.seconds for step in steps if isinstance(step, Listen)} == {0.05}


def test_a_message_ends_the_wait_without_another_look() -> None:
    steps, result = talk(acts.result(KEYS, "x", Wait.of(None)), Watched("active"), b"completed\n[1]\n")
    assert (steps, result) == (["watch", Listen(0.1)], b"[1]\n")


def test_a_task_that_vanishes_may_still_have_its_last_word() -> None:
    _, result = talk(acts.result(KEYS, "x", Wait.of(None)), Watched("active"), None, Watched(""), b"completed\n1")
    assert result == b"1"
    with pytest.raises(TaskNotFound, match="retention"):
        talk(acts.result(KEYS, "x", Wait.of(None)), Watched("active"), None, Watched(""), None)


def test_a_task_that_was_gone_before_has_none() -> None:
    with pytest.raises(TaskNotFound, match="retention"):
        talk(acts.result(KEYS, "x", Wait.of(None)), Watched(""))


def test_a_failure_without_a_text_says_so() -> None:
    with pytest.raises(TaskFailed, match="it left no error text"):
        talk(acts.result(KEYS, "x", Wait.of(None)), Watched("archived"))


def test_a_broker_that_is_away_for_a_while_does_not_end_a_wait_with_a_limit() -> None:
    away = BrokerUnavailable("no")
    talked = [Watched("active"), None, away, None, away, None, Watched("completed", b"1")]
    assert talk(acts.result(KEYS, "x", Wait.of(60)), *talked)[1] == b"1"
    with pytest.raises(BrokerUnavailable):
        talk(acts.result(KEYS, "x", Wait.of(None)), *talked)


def test_no_time_means_one_look() -> None:
    with pytest.raises(ResultTimeout, match=r"within 0 s \(it is pending\)"):
        talk(acts.result(KEYS, "x", Wait.of(0)), Watched("pending"))


def test_instants_and_durations_are_written_for_the_scripts() -> None:
    at = datetime(2030, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    assert instant(at) == f"{at.timestamp():.6f}"
    assert [instant(each) for each in ("1m", 2, 0.25, timedelta(hours=1))] == [
        "+60.000000",
        "+2.000000",
        "+0.250000",
        "+3600.000000",
    ]
    with pytest.raises(OptionError, match="no time zone"):
        instant(at.replace(tzinfo=None))
