"""Functions that make one task of a group."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from rota import GroupedTask, OptionError, PayloadError, Plan, Rota, RoutingError
from rota.tasks.groups import Aggregators, GroupHandler

TASKS = [GroupedTask("email:add", b'{"to":"a"}'), GroupedTask("email:add", b'{"to":"b"}')]


def joined(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
    return Plan("email:digest", ",".join(task.json()["to"] for task in tasks).encode())


def named(name: str, **words: Any) -> GroupHandler:
    def function(group: str, tasks: list[GroupedTask]) -> None: ...

    function.__qualname__ = name
    return GroupHandler(function, **words)


async def test_an_app_registers_an_aggregator_and_it_makes_a_plan() -> None:
    app = Rota()

    @app.aggregator("email:add", grace="10s", max_delay="1m", max_size=20)
    def digest(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return joined(group, tasks)

    found = app.aggregators.find("email:add", "user-7")
    assert found is not None
    assert (found.grace, found.max_delay, found.max_size) == (timedelta(seconds=10), timedelta(minutes=1), 20)
    plan = await found.aggregate("user-7", TASKS)
    assert plan == Plan("email:digest", b"a,b")
    assert digest("x", TASKS).payload == b"a,b"


async def test_a_plain_aggregator_runs_in_a_thread_and_an_async_one_on_the_loop() -> None:
    threads: list[int] = []

    def plain(group: str, tasks: list[GroupedTask]) -> None:
        threads.append(threading.get_ident())

    async def on_loop(group: str, tasks: list[GroupedTask]) -> None:
        threads.append(threading.get_ident())

    await GroupHandler(plain).aggregate("g", TASKS)
    await GroupHandler(on_loop).aggregate("g", TASKS)

    assert threads[0] != threading.get_ident()
    assert threads[1] == threading.get_ident()


async def test_an_aggregator_that_returns_something_else_is_named() -> None:
    async def wrong(group: str, tasks: list[GroupedTask]) -> str:
        return "digest"

    with pytest.raises(OptionError, match=r"wrong returned str, but must return a plan"):
        await GroupHandler(wrong).aggregate("g", TASKS)


@pytest.mark.parametrize(
    ("type", "group", "name"),
    [
        ("email:add", "user-7", "add for user-7"),
        ("email:add", "user-8", "add for users"),
        ("email:add", "team", "add"),
        ("email:add:1", "team", "add"),
        ("email:other", "team", "email"),
        ("sms:add", "team", "all"),
    ],
)
def test_the_nearest_type_wins_then_the_most_exact_group(type: str, group: str, name: str) -> None:
    aggregators = Aggregators()
    aggregators.add(named("all"))
    aggregators.add(named("email", type="email:"))
    aggregators.add(named("add", type="email:add"))
    aggregators.add(named("add for users", type="email:add", group="user-*"))
    aggregators.add(named("add for user-7", type="email:add", group="user-7"))

    assert repr(aggregators.find(type, group)).endswith(name)
    assert len(aggregators) == len(list(aggregators)) == 5


def test_a_group_without_aggregator_has_none() -> None:
    aggregators = Aggregators()
    aggregators.add(named("users", group="user-*"))

    assert aggregators.find("email:add", "team") is None


def test_a_type_and_group_have_one_aggregator() -> None:
    aggregators = Aggregators()
    aggregators.add(named("one", type="email:add"))

    with pytest.raises(RoutingError, match="taken already, by one"):
        aggregators.add(named("two", type="email:add"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"grace": "500ms"}, "at least 1s"),
        ({"max_size": 0}, "1 or more"),
        ({"grace": "1m", "max_delay": "10s"}, "shorter than grace"),
    ],
)
def test_limits_that_make_no_sense_are_refused(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        named("x", **words)


def test_a_grouped_task_is_read_as_json() -> None:
    assert GroupedTask("a:b", b"").json() is None
    with pytest.raises(PayloadError, match="is not valid JSON"):
        GroupedTask("a:b", b"\xff", id="x").json()
