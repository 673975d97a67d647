"""One clear sentence for each thing that goes wrong."""

import socket
import ssl

import pytest

from rota.broker import failure
from rota.broker.failure import Demoted, NotNow, RetryBudget, SlotMoved, WrongType, pause_seconds
from rota.broker.url import Endpoint
from rota.errors import BrokerRefused

HERE = Endpoint("h", 1)


def reply(text: str, *words: str) -> Exception:
    return failure.of_reply(Exception(text), words or ("EVALSHA",), HERE)


@pytest.mark.parametrize(
    "text",
    [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "ERR max number of clients reached",
        "UNBLOCKED force unblock from blocking operation",
    ],
)
def test_a_passing_state_is_worth_another_try(text: str) -> None:
    error = reply(text)
    assert isinstance(error, NotNow)
    assert error.maybe_applied is False
    assert text.rstrip(".") in str(error)


CALL = "ERR Error running script (call to f_bd6f3018b28bbdb36260f19d3c44afed740db987): @user_script:1: "
ERROR_OF_A_SCRIPT_ON_6_2 = [CALL + "@user_script: 1: -", "@user_script: 220: -", "=[C]: -1: -"]
"""What Redis 6.2.14 puts before the error of `redis.call`, `redis.pcall`, and `redis.call` inside of `pcall`."""


@pytest.mark.parametrize("layers", ERROR_OF_A_SCRIPT_ON_6_2)
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", NotNow),
        ("MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.", NotNow),
        ("NOREPLICAS Not enough good replicas to write.", NotNow),
        ("READONLY You can't write against a read only replica.", Demoted),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", WrongType),
    ],
)
def test_error_code_is_found_inside_the_error_of_a_script(layers: str, text: str, kind: type) -> None:
    error = reply(layers + text)
    assert type(error) is kind
    assert text.rstrip(".") in str(error)
    assert "user_script" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        CALL + "@user_script: 1: The user executing the script can't run this command or subcommand",
        "@user_script: 1: The user executing the script can't run this command or subcommand",
        "ERR The user executing the script can't run this command or subcommand script: bd6f, on @user_script:1.",
        "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
        "ERR ACL failure in script: User u has no permissions to run the 'set' command script: on @user_script:1.",
    ],
)
def test_denial_inside_a_script_names_the_right_and_not_the_script(text: str) -> None:
    error = reply(text)
    assert isinstance(error, BrokerRefused)
    named = "SET" if "'set'" in text else "a command of this script"
    assert f"The user of the broker URL may not run {named}: " in str(error)
    assert "Grant it with ACL SETUSER" in str(error)


def test_text_in_an_error_of_a_script_is_not_taken_for_a_code() -> None:
    assert type(reply(CALL + "user_script:1: boom -OOM command not allowed")) is BrokerRefused
    assert type(reply("ERR no such thing @user_script: 1: -OOM command")) is BrokerRefused


def test_a_replica_is_told_apart() -> None:
    assert isinstance(reply("READONLY You can't write against a read only replica."), Demoted)
    assert not isinstance(reply("LOADING"), Demoted)


@pytest.mark.parametrize(
    "text",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR WRONGTYPE Operation against a key holding the wrong kind of value script: fe01, on @user_script:7.",
    ],
)
def test_a_key_of_another_type_is_told_apart(text: str) -> None:
    assert isinstance(reply(text), WrongType)
    assert not isinstance(reply("ERR value is not an integer or out of range"), WrongType)


def test_a_redirection_says_where_to() -> None:
    moved = reply("MOVED 3999 127.0.0.1:6381")
    assert isinstance(moved, SlotMoved)
    assert (moved.slot, moved.endpoint, moved.ask) == (3999, Endpoint("127.0.0.1", 6381), False)
    ask = reply("ASK 7 :6382")
    assert isinstance(ask, SlotMoved)
    assert (ask.endpoint, ask.ask) == (Endpoint("h", 6382), True)
    v6 = reply("MOVED 1 ::1:6381")
    assert isinstance(v6, SlotMoved)
    assert v6.endpoint == Endpoint("::1", 6381)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "accepts no writes"),
        ("MISCONF Errors writing to the AOF", "accepts no writes"),
        ("NOREPLICAS Not enough good replicas to write.", "accepts no writes"),
        ("BUSY Redis is busy running a script.", "A script blocks the server"),
    ],
)
def test_a_server_that_takes_no_writes_for_now_is_worth_another_try_too(text: str, why: str) -> None:
    error = reply(text)
    assert isinstance(error, NotNow)
    assert error.maybe_applied is False
    assert why in str(error)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("NOPERM this user has no permissions to run the 'evalsha' command", ("EVALSHA",), "may not run EVALSHA"),
        ("NOPERM User x has no permissions to run the 'client|tracking' command", ("CLIENT",), "run CLIENT|TRACKING"),
        ("NOPERM No permissions to access a key", ("EVALSHA", "secret"), "may not run EVALSHA"),
        ("WRONGPASS invalid username-password pair", ("HELLO",), "wrong user name or password"),
        ("NOAUTH HELLO must be called with the client already authenticated", ("HELLO",), "asks for a password"),
        ("ERR unknown command 'LMPOP', with args", ("LMPOP",), "does not know LMPOP"),
        ("ERR value is not an integer", ("INCRBY",), "refused INCRBY"),
    ],
)
def test_a_refusal_names_the_command_and_no_argument(text: str, words: tuple[str, ...], expected: str) -> None:
    error = reply(text, *words)
    assert isinstance(error, BrokerRefused)
    assert expected in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("error", "kind", "expected"),
    [
        (ConnectionRefusedError(), NotNow, "Nothing listens at h:1"),
        (socket.gaierror(-2, "Name or service not known"), NotNow, "The host 'h' is unknown"),
        (TimeoutError(), NotNow, "No answer from h:1 in time"),
        (FileNotFoundError(), NotNow, "There is no socket"),
        (PermissionError(), BrokerRefused, "No permission to open"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), BrokerRefused, "TLS to h:1 failed"),
        (OSError("broken"), NotNow, "failed: broken"),
    ],
)
def test_what_goes_wrong_while_connecting_is_told_in_one_sentence(error: OSError, kind: type, expected: str) -> None:
    told = failure.of_connecting(error, HERE)
    assert isinstance(told, kind)
    assert expected in str(told)
    assert told.maybe_applied is False


def test_pauses_grow_are_bounded_and_differ() -> None:
    for failures in range(1, 50):
        assert 0 < pause_seconds(failures) <= 2.0
    assert pause_seconds(1) <= 0.02
    assert pause_seconds(20) >= 1.0
    assert len({pause_seconds(3) for _ in range(20)}) > 1


def test_without_retries_the_first_failure_is_final() -> None:
    with pytest.raises(NotNow, match="down"):
        RetryBudget(0).pause_after(NotNow("down"))


def test_a_redirection_is_followed_at_once_but_not_for_ever() -> None:
    budget = RetryBudget(0)
    moved = SlotMoved("moved", slot=1, endpoint=Endpoint(), ask=False)
    for _ in range(5):
        assert budget.pause_after(moved) == 0
    with pytest.raises(SlotMoved):
        budget.pause_after(moved)
