"""Groups for the tests of the aggregator, and functions that aggregate them."""

from collections.abc import Callable
from typing import Any

from rota.tasks.groups import Aggregators, GroupedTask
from rota.tasks.groups import GroupHandler as Registered
from rota.tasks.job import Plan
from rota.tasks.options import NO_OPTIONS
from rota.worker.groups.aggregator import Aggregator
from tests.integration.worker.yard import Yard, message

OLD = 1_700_000_000.0


class Collector:
    """An aggregate function that notes what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, list[GroupedTask]]] = []

    async def __call__(self, group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        self.got.append((group, tasks))
        return Plan("digest:send", b"+".join(task.payload[:1000] for task in tasks), NO_OPTIONS)


def part(yard: Yard, function: Callable[..., Any], **words: Any) -> Aggregator:
    registry = Aggregators()
    registry.add(Registered(coroutine_of(function), **words))
    return Aggregator(yard.broker, yard.queues, registry.find)


def coroutine_of(function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(group: str, tasks: list[GroupedTask]) -> Any:
        return await function(group, tasks)

    return call


async def fill(yard: Yard, group: str, names: str, score: float = OLD, **words: Any) -> None:
    for index, name in enumerate(names):
        await yard.grouped(name, group, score + index, msg=message(name, payload=name.encode(), **words))


async def pending(yard: Yard) -> list[bytes]:
    """The payloads of pending tasks, next to run first."""
    return [(await yard.message(task_id)).payload for task_id in (await yard.members(yard.keys.pending))[::-1]]
