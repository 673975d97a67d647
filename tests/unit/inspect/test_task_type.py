"""The list of task types, put together from the records of several servers."""

from datetime import UTC, datetime

import pytest

from rota.inspect.server_snapshot import ServerSnapshot
from rota.inspect.task_type import TypeList, read_types
from rota.tasks.routing import Matching
from rota.tasks.type_record import TypeRecord, pack


def server(name: str, *queues: str) -> ServerSnapshot:
    return ServerSnapshot(
        id=name,
        host="h",
        pid=1,
        concurrency=1,
        queues=dict.fromkeys(queues or ("default",), 1),
        strict_priority=False,
        status="active",
        started_at=datetime.now(UTC),
        active=0,
        running=(),
    )


def record(*types: TypeRecord, matching: Matching = "segments") -> bytes:
    return pack(types, matching).data


def one(type: str, matching: Matching = "segments") -> TypeList:
    return read_types({"k": server("a")}, [("d", "k")], {"d": record(TypeRecord(type=type), matching=matching)})


def test_servers_with_the_same_record_are_one_version() -> None:
    servers = {"k1": server("a", "default"), "k2": server("b", "default", "mail")}
    found = read_types(servers, [("d", "k1"), ("d", "k2")], {"d": record(TypeRecord(type="a:b", doc="It."))})

    [snapshot] = found.types
    assert (snapshot.type, snapshot.queues, snapshot.servers) == ("a:b", ("default", "mail"), ("a", "b"))
    [version] = snapshot.versions
    assert (version.summary, version.servers) == ("It.", ("a", "b"))
    assert found.unpublished == ()


def test_rolling_deploy_shows_two_schemas_and_the_one_of_most_servers_first() -> None:
    old, new, same = TypeRecord(type="a:b", schema={"a": 1}), TypeRecord(type="a:b", schema={}), TypeRecord(type="c:d")
    servers = {f"k{number}": server(f"s{number}") for number in range(3)}
    listed = [("old", "k0"), ("new", "k1"), ("new", "k2")]
    found = read_types(servers, listed, {"old": record(old, same), "new": record(new, same)})

    deployed, unchanged = found.types
    assert [(each.schema, each.servers) for each in deployed.versions] == [({}, ("s1", "s2")), ({"a": 1}, ("s0",))]
    assert [each.servers for each in unchanged.versions] == [("s0", "s1", "s2")]


def test_server_without_a_good_record_is_unpublished_and_one_that_is_gone_is_left_out() -> None:
    servers = {"k1": server("none"), "k2": server("broken"), "k3": server("missing"), "k4": server("good")}
    listed = [("bad", "k2"), ("lost", "k3"), ("d", "k4"), ("d", "gone")]
    found = read_types(servers, listed, {"bad": b"\xff", "lost": None, "d": record(TypeRecord(type="a:b"))})

    assert found.unpublished == ("broken", "missing", "none")
    assert [each.servers for each in found.types] == [("good",)]


@pytest.mark.parametrize(
    ("registered", "matching", "type", "found"),
    [
        ("mail:send", "segments", "mail:send", True),
        ("mail:send", "segments", "mail:send:1", True),
        ("mail:send", "segments", "mail:sender", False),
        ("mail:send", "segments", "mail:send:v2", False),
        ("mail:", "segments", "mail:send", True),
        ("mail", "asynq", "mailer", True),
        ("mail", "asynq", "male", False),
    ],
)
def test_type_is_found_as_a_worker_finds_its_handler(
    registered: str, matching: Matching, type: str, found: bool
) -> None:
    assert (one(registered, matching).find(type) is not None) is found


def test_type_is_found_only_among_the_servers_that_count() -> None:
    types = one("a:b")
    assert types.find("a:b", {"a", "other"}) is not None
    assert types.find("a:b", {"other"}) is None
