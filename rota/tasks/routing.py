"""The grammar of task-type names, and the registry that finds the handler of a type.

A registration calls `Registry.add`, which refuses malformed and duplicate names. A worker calls `find` for each task,
and the results are cached. Names that other programs have chosen skip the grammar with `lint=False`. `advise` only
suggests better names.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from rota.errors import RoutingError

Matching: TypeAlias = Literal["segments", "asynq"]

_SEGMENT = re.compile(r"[a-z0-9][a-z0-9_-]*")
_VERSION = re.compile(r"v[0-9]+")
_MEANINGLESS = frozenset(
    {"action", "bar", "demo", "do", "event", "foo", "func", "function", "handler", "hello", "item", "job", "main"}
    | {"message", "misc", "process", "run", "something", "stuff", "task", "temp", "test", "thing", "todo", "work"}
)
_CACHE_SIZE = 4096


class TypeRoute(Protocol):
    """An entry of a registry. Its `type` is a type name, or a pattern that ends with `:`."""

    type: str


RouteT = TypeVar("RouteT", bound=TypeRoute)


class Registry(Generic[RouteT]):
    """Finds the route for a type name.

    An exact name wins, otherwise the longest registered prefix that ends at a `:`. So the route `email:send` matches
    `email:send:1` and does not match `email:sender`. The pattern `email:` matches every name that starts with it. Only
    a route that names a version segment (`:v2`) matches it. With `matching="asynq"` every registered name matches as a
    plain string prefix, as in Go.
    """

    def __init__(self, matching: Matching = "segments") -> None:
        self.matching: Matching = matching
        self._routes: dict[str, RouteT] = {}
        self._found: dict[str, RouteT | None] = {}

    def add(self, route: RouteT, *, lint: bool = True) -> None:
        """Register a route. Raises RoutingError as `check` does."""
        self.check(route.type, lint=lint)
        self._routes[route.type] = route
        self._found.clear()

    def check(self, type: str, *, lint: bool = True, others: Mapping[str, RouteT] | None = None) -> None:
        """Raise RoutingError for a malformed name, or a name that is registered already, here or in `others`."""
        if lint and self.matching == "segments":
            check_name(type, pattern=type.endswith(":"))
        else:
            check_blank(type)
        taken = self._routes.get(type) or (others or {}).get(type)
        if taken is not None:
            raise RoutingError(f"{type!r} is registered already, by {_described(taken)}: each type has one handler.")

    def find(self, type: str) -> RouteT | None:
        """Return the route that matches a type, or None."""
        try:
            return self._found[type]
        except KeyError:
            pass
        names = candidates(type, self.matching)
        found = next((self._routes[name] for name in names if name in self._routes), None)
        if len(self._found) >= _CACHE_SIZE:  # type names come from outside and may hold IDs
            self._found.clear()
        self._found[type] = found
        return found

    def get(self, type: str) -> RouteT | None:
        """Return the route registered under exactly this name."""
        return self._routes.get(type)

    def advice(self) -> list[str]:
        """Suggestions for better names, one sentence each."""
        return [sentence for name in self._routes for sentence in advise(name)]

    def __iter__(self) -> Iterator[RouteT]:
        return iter(self._routes.values())

    def __len__(self) -> int:
        return len(self._routes)

    def __contains__(self, type: object) -> bool:
        return type in self._routes


def candidates(type: str, matching: Matching = "segments") -> Iterator[str]:
    """Yield the names and patterns that match a type, the best match first."""
    if matching == "asynq":
        yield from (type[:length] for length in range(len(type), 0, -1))
        return
    yield type
    head, colon, segment = type.rpartition(":")
    while colon and not _VERSION.fullmatch(segment):
        yield f"{head}:"
        yield head
        head, colon, segment = head.rpartition(":")


def check_blank(type: object) -> None:
    """Raise RoutingError for a type name that no task can have."""
    if callable(type):
        raise RoutingError(
            f"{type!r} stands where the name of a task type is expected, such as 'email:welcome'. A task is enqueued "
            "by its own method: task.enqueue(...), or task.enqueue_sync(...) from blocking code."
        )
    if not isinstance(type, str) or not type.strip():
        meant = " A plan is enqueued by app.send(plan)." if hasattr(type, "payload") else ""
        raise RoutingError(f"The task type {type!r} is blank or not a text: give a name like 'email:welcome'.{meant}")


def _described(route: TypeRoute) -> str:
    source_line: str = getattr(route, "source_line", "")
    return f"{route!r} ({source_line})" if source_line else repr(route)


def check_name(name: str, *, pattern: bool = False) -> None:
    """Raise RoutingError with the reason if this type name is malformed."""
    reason = fault(name[:-1] if pattern and len(name) > 1 else name)
    if reason is not None:
        raise RoutingError(
            f"{name!r} is no good task type: {reason}. Write segments of lower-case letters, digits, '-' and '_', "
            "joined by ':', as in 'email:welcome'. To serve a name that another program chose, pass lint=False."
        )


def fault(name: str) -> str | None:
    """Return what breaks the grammar of names, or None."""
    if not name.strip():
        return "it is blank"
    if name != name.strip() or any(character.isspace() for character in name):
        return "it holds white space"
    if name != name.lower():
        return "it holds capital letters, and names are compared letter by letter"
    for segment in name.split(":"):
        if not segment:
            return "it has an empty segment: a ':' at an end, or two in a row"
        if not _SEGMENT.fullmatch(segment):
            odd = next((c for c in segment if not re.fullmatch(r"[a-z0-9_-]", c)), segment[0])
            return f"{odd!r} cannot stand {'at the start of' if odd in '-_' else 'in'} a segment"
    if _VERSION.fullmatch(name.split(":", 1)[0]):
        return "it begins with a version: put the version last"
    return None


def advise(name: str) -> list[str]:
    """Return suggestions for a better name. The given name is well-formed and works as it is."""
    segments = [segment for segment in name.split(":") if segment]
    advice: list[str] = []
    if len(segments) < 2 and not name.endswith(":"):
        advice.append(f"{name!r} has no namespace: 'what:{name}' says whose task it is and keeps clear of others.")
    meaning = [part for part in segments if not _VERSION.fullmatch(part) and not part.isdigit()]
    if meaning and all(re.sub(r"[0-9_-]+$", "", part) in _MEANINGLESS for part in meaning):
        advice.append(f"{name!r} says nothing about what is done: name the thing and the act, as in 'email:welcome'.")
    return advice
