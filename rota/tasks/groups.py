"""Aggregators: functions that turn all tasks of a group into one task.

`@app.aggregator("comment:added", group="page-*")` registers a function. When a group is due, the worker takes its
tasks, finds the function for their type and group (`Aggregators.find`) and calls it (`rota.worker.groups`). The
function returns the plan of the one task, or None to drop the tasks. It may be called twice for the same tasks if its
worker dies, so the work itself belongs in the one task.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, cast

from pydantic_core import from_json

from rota.core import forks
from rota.core.canonical import is_count
from rota.core.duration import DurationLike, at_least, display, parse
from rota.core.sync_bridge import in_own_thread
from rota.core.text import unstopped
from rota.errors import OptionError, PayloadError, RoutingError
from rota.tasks.callback import check
from rota.tasks.job import Plan
from rota.tasks.options import NO_HEADERS
from rota.tasks.routing import Matching, candidates

EVERY_GROUP = "*"


@dataclass(frozen=True, slots=True)
class GroupedTask:
    """One task of a group: `type`, `payload`, `headers` and `id`. Asynq does not keep its other options."""

    type: str
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS, hash=False)
    id: str = ""

    def json(self) -> Any:
        """Read the payload as JSON. Raises PayloadError."""
        try:
            return from_json(self.payload) if self.payload else None
        except ValueError as error:
            raise PayloadError(
                f"The payload of task {self.id} ({self.type}) is not valid JSON: {unstopped(error)}."
            ) from error


AggregateFunction: TypeAlias = Callable[[str, list[GroupedTask]], Any]
"""Takes the name of the group and its tasks, oldest first; returns a Plan, or None to drop them. May be async."""

LeftRunning: TypeAlias = Callable[[asyncio.Future[None]], None]


class GroupHandler:
    """One registered function, its type and group, and the limits after which a group is due.

    With None for `grace`, `max_delay` or `max_size` the setting `group_...` of that name applies.
    """

    def __init__(
        self,
        function: AggregateFunction,
        *,
        type: str = "",
        group: str = EVERY_GROUP,
        grace: DurationLike | None = None,
        max_delay: DurationLike | None = None,
        max_size: int | None = None,
    ) -> None:
        check("The aggregator", function, "group", "tasks")
        if not isinstance(group, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(f"group is {group!r}, but must be the name of a group, or a pattern like 'user-*'.")
        self.function = function
        self.source_line = ""
        """Where it was registered, as `file:line`."""
        self.type = type
        self.serves_every_type = not type
        """Whether it serves every type; with the prefix of its router, every type with this prefix."""
        self.group = group
        why = "Asynq counts it in whole seconds"
        self.grace = None if grace is None else at_least(grace, timedelta(seconds=1), "grace", why)
        self.max_delay = None if max_delay is None else parse(max_delay, "max_delay")
        self.max_size = max_size
        if max_size is not None and not is_count(max_size):
            raise OptionError(f"max_size is {max_size!r}, but must be a whole number, 1 or more.")
        if self.grace and self.max_delay and self.max_delay < self.grace:
            raise OptionError(
                f"max_delay ({display(self.max_delay)}) is shorter than grace ({display(self.grace)}): "
                "no group could wait as long as it should."
            )
        self._is_async = inspect.iscoroutinefunction(function)

    async def aggregate(
        self, group: str, tasks: list[GroupedTask], left_running: LeftRunning | None = None
    ) -> Plan[Any] | None:
        """Make the one task. A plain function runs in a thread.

        Cancellation does not end that thread. `left_running` is then called with a future that is done when it ends.
        """
        made: Any = await (
            forks.wait_for(self.function(group, tasks))
            if self._is_async
            else self._call_in_thread(group, tasks, left_running)
        )
        if inspect.isawaitable(made):  # from a plain wrapper around a coroutine function, or from a callable object
            made = await forks.wait_for(made)
        if not _is_plan(made):
            raise OptionError(
                f"The aggregator {self!r} returned {type(made).__name__}, but must return a plan "
                "(`task.plan(...)` or `app.plan(...)`), or None to drop the tasks."
            )
        return cast("Plan[Any] | None", made)

    async def _call_in_thread(self, group: str, tasks: list[GroupedTask], left_running: LeftRunning | None) -> Any:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def call() -> Any:
            try:
                return self._call(group, tasks)
            finally:
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(ended.set_result, None)

        try:
            return await in_own_thread(call)
        except asyncio.CancelledError:  # also raised if the function itself raised it, and so has ended
            if left_running is not None and not ended.done():
                left_running(ended)
            raise

    def _call(self, group: str, tasks: list[GroupedTask]) -> Any:
        try:
            return forks.call(self.function, (group, tasks))
        except StopIteration as error:  # a future rejects StopIteration, so the wait for the thread would never end
            raise RuntimeError(f"The aggregator {self!r} raised StopIteration.") from error

    def __repr__(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))


class Aggregators:
    """Finds the aggregator for a task in a group: the closest type first, then the most specific group."""

    def __init__(self, matching: Matching = "segments") -> None:
        self._matching: Matching = matching
        self._by_type: dict[str, dict[str, GroupHandler]] = {}

    def add(self, aggregator: GroupHandler) -> None:
        """Register an aggregator. Raises RoutingError as `check` does."""
        self.check(aggregator.type, aggregator.group)
        self._by_type.setdefault(aggregator.type, {})[aggregator.group] = aggregator

    def check(self, type: str, group: str, others: Mapping[tuple[str, str], GroupHandler] | None = None) -> None:
        """Raise RoutingError if an aggregator is registered for this type and group, here or in `others`."""
        taken = self._by_type.get(type, {}).get(group) or (others or {}).get((type, group))
        if taken is not None:
            raise RoutingError(
                f"Groups {group!r} of {type or 'every type'} are taken already, by {taken!r} ({taken.source_line})."
            )

    def find(self, type: str, group: str) -> GroupHandler | None:
        """Return the aggregator for a task of this type in this group."""
        for name in candidates(type, self._matching):
            if found := self._fitting(self._by_type.get(name, {}).values(), group):
                return found
        # A pattern does not match a type with a version, but "every type" means these too.
        for name in (*_prefixes(type), ""):
            every = [each for each in self._by_type.get(name, {}).values() if each.serves_every_type]
            if found := self._fitting(every, group):
                return found
        return None

    @staticmethod
    def _fitting(handlers: Iterable[GroupHandler], group: str) -> GroupHandler | None:
        fitting = [each for each in handlers if each.group == group or fnmatchcase(group, each.group)]
        return max(fitting, key=lambda each: (each.group == group, len(each.group)), default=None)

    def __iter__(self) -> "Iterable[GroupHandler]":
        return (aggregator for groups in self._by_type.values() for aggregator in groups.values())

    def __len__(self) -> int:
        return sum(map(len, self._by_type.values()))


def _prefixes(type: str) -> list[str]:
    """Return the starts of a type name that end with a colon, the longest first."""
    return [type[: index + 1] for index in range(len(type) - 1, -1, -1) if type[index] == ":"]


def _is_plan(value: object) -> bool:
    return value is None or isinstance(value, Plan)
