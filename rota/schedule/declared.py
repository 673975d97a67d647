"""Schedules that a program declares beside its tasks, from the line that declares one to the stored form.

A declaration is checked in the line that makes it, with the type and the name that are known there. An app may include
the router of the line later, with a prefix. So the full definition is made when the app lists its schedules: with the
full type, with the default time zone of the settings, and with the options of the include, where no handler has them.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Unpack

from rota.core.duration import DurationLike, at_least, display
from rota.core.source_line import caller, names_source_line
from rota.core.text import did_you_mean
from rota.errors import OptionError, ScheduleInvalid

if TYPE_CHECKING:
    from rota.schedule.definition import ScheduleDefinition, StoredSchedule
    from rota.schedule.keywords import ScheduleOptions

Specs: TypeAlias = str | Sequence[str]
Provided: TypeAlias = "Iterable[ScheduleDefinition | Mapping[str, Any]]"
Provide: TypeAlias = Callable[[], Awaitable[Provided]]

_SHORTEST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class When:
    """The times at which a task runs, and the rules of its runs: `When("0 9 * * *", tz="Asia/Shanghai")`.

    For `task.schedule(When(...), ...)`, which takes the arguments of the task after it.
    """

    words: Mapping[str, Any]

    @names_source_line
    def __init__(
        self, *specs: str, tz: str | None = None, name: str | None = None, **options: "Unpack[ScheduleOptions]"
    ) -> None:
        """Take one or more specs, of which each fires. `name` is the name of the schedule, by default the task type."""
        object.__setattr__(self, "words", schedule_words("When", specs, tz=tz, name=name, options=options))

    def __repr__(self) -> str:
        return f"When({', '.join(map(repr, self.words['specs']))})"


class DeclaredTask(Protocol):
    """The part of a handler that schedules need. `sender` is the app, once the type is full."""

    type: str
    schedules: "list[DeclaredSchedule]"

    @property
    def sender(self) -> "NameCheck | None":
        """The app, or None before the router of the handler is included in one."""
        ...


class NameCheck(Protocol):
    """The part of an app that keeps the names of schedules apart."""

    def check_schedules(self) -> None:
        """Raise OptionError if two schedules have one name."""
        ...


@dataclass(frozen=True, slots=True)
class DeclaredSchedule:
    """One declaration. `what` is the code that made it, and `source_line` its line.

    `type` is the task type as it stands there, without the prefixes of includes, where no handler is known.
    """

    what: str
    source_line: str
    words: Mapping[str, Any]
    type: str = ""
    handler: DeclaredTask | None = None
    declared_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def definition(
        self, *, prefix: str = "", timezone: str = "UTC", included: Mapping[str, Any] | None = None
    ) -> "ScheduleDefinition":
        """Return the definition with the full type. `included` are the options that the includes of the router give."""
        from rota.schedule.definition import ScheduleDefinition

        task_type = self.full_type(prefix)
        words = {"name": task_type, **(included or {} if self.handler is None else {}), **self.words}
        return ScheduleDefinition.read({**words, "task_type": task_type}, timezone=timezone)

    def full_type(self, prefix: str) -> str:
        """Return the task type with the prefix of its router."""
        handler = self.handler
        if handler is None:
            return prefix + self.type
        return handler.type if handler.sender is not None else prefix + handler.type

    def name(self, prefix: str) -> str:
        """Return the name of the schedule: the given one, or the full type."""
        return str(self.words.get("name") or self.full_type(prefix))

    def stored(self, prefix: str, timezone: str, included: Mapping[str, Any]) -> "StoredSchedule":
        """Return the stored form, with an ID that is the same in every process (see `definition`)."""
        from rota.schedule.definition import StoredSchedule, named_schedule_id

        definition = self.definition(prefix=prefix, timezone=timezone, included=included)
        return StoredSchedule(
            id=named_schedule_id(definition.name),
            definition=definition,
            source="code",
            created_at=self.declared_at,
            created_by=self.source_line,
            updated_at=self.declared_at,
            updated_by=self.source_line,
        )


def schedule_words(
    what: str, specs: Specs, *, tz: str | None, name: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what was given as fields of a definition. The error for an unknown option suggests a known one."""
    from rota.schedule.keywords import ScheduleOptions

    known = ScheduleOptions.__annotations__
    for word in options:
        if word not in known:
            raise OptionError(f"{what} has no option {word!r}. {did_you_mean(word, (*known, 'tz', 'name'))}")
    return {
        word: value
        for word, value in {"specs": specs, "timezone": tz, "name": name, **options}.items()
        if value is not None
    }


def every_spec(what: str, interval: DurationLike) -> str:
    """Return the spec of an interval."""
    found = at_least(interval, _SHORTEST, f"the interval of {what}", "a schedule fires once a second at most")
    return f"@every {display(found)}"


def declared(
    what: str,
    words: Mapping[str, Any],
    *,
    payload: Mapping[str, Any],
    handler: DeclaredTask | None = None,
    type: str = "",
) -> DeclaredSchedule:
    """Make a declaration, and check it with what is known in its line. Raises ScheduleInvalid."""
    made = DeclaredSchedule(what, caller(), {**words, "payload": payload}, type, handler)
    made.definition()
    return made


def add_to_handler(handler: DeclaredTask, made: DeclaredSchedule) -> None:
    """Add a declaration to the handler of its task. Raises OptionError if its name is taken in the app."""
    handler.schedules.append(made)
    if handler.sender is not None:
        try:
            handler.sender.check_schedules()
        except OptionError:
            handler.schedules.remove(made)
            raise


def refuse_equal_names(named: Iterable[tuple[str, DeclaredSchedule]]) -> None:
    """Raise OptionError if two declarations have the same name."""
    source_lines: dict[str, str] = {}
    for name, each in sorted(named, key=lambda pair: pair[1].declared_at):
        if name in source_lines:
            error = OptionError(
                f"{each.what} declares a second schedule {name!r}; the first one is in {source_lines[name]}. Give it "
                f"a name of its own: name=... ({each.source_line})"
            )
            error.place = each.source_line
            raise error
        source_lines[name] = each.source_line


def refuse_chains(schedules: "Sequence[StoredSchedule]") -> None:
    """Raise ScheduleInvalid if declared schedules start each other without end, or in a chain that is too long."""
    if not any(each.definition.then for each in schedules):
        return
    from rota.schedule.then_links import followers_of, problem_of_chain

    followers = {each.definition.name: followers_of(each.definition) for each in schedules}
    for each in schedules:
        name = each.definition.name
        if followers[name] and (problem := problem_of_chain(name, followers)):
            text = f"The schedule {name!r} is wrong: {problem} ({each.created_by})"
            raise ScheduleInvalid(text, problems=[("then", problem)])


@dataclass(frozen=True, slots=True)
class ScheduleProvider:
    """A function that returns schedules, which a scheduler calls again and again."""

    function: Provide
    interval: timedelta
    name: str
    source_line: str
