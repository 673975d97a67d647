"""The keywords of an entry of a cron, and the definition that is made of them.

The words are those of a schedule (`rota.schedule.keywords`), with the same rules, because a cron decides with the same
functions. A cron has the ones that mean something without a queue, a store and an app.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast

from rota.core.canonical import is_sequence
from rota.core.text import did_you_mean
from rota.errors import OptionError
from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.trigger import Trigger
from rota.tasks.callback import check, name_of

if TYPE_CHECKING:
    from rota.schedule.definition import Missed, OnDayOff, Overlap
    from rota.schedule.spec import RepeatedHour, SkippedHour

Function: TypeAlias = Callable[[], Any]
Wrapper: TypeAlias = Callable[[Function], Function]
When: TypeAlias = str | Trigger | Sequence[str | Trigger]

_PLACEHOLDER = "@every 1s"  # a definition has texts only; `PlannedFunction` takes the triggers instead


class CronOptions(TypedDict, total=False):
    """The keywords of an entry. None means "not given"."""

    missed: "Missed | None"
    missed_limit: int | None
    start_deadline: str | timedelta | None
    overlap: "Overlap | None"
    overlap_limit: int | None
    skipped_hour: "SkippedHour | None"
    repeated_hour: "RepeatedHour | None"
    jitter: str | timedelta | None
    starts_at: datetime | str | None
    ends_at: datetime | str | None
    max_runs: int | None
    timeout: str | timedelta | None
    calendar: Calendar | None
    on_day_off: "OnDayOff | None"
    wrappers: Sequence[Wrapper] | None


def is_async(function: Function) -> bool:
    """Whether a function is async, also behind partials and as `__call__` of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    call = getattr(type(function), "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def check_function(what: str, function: Function) -> None:
    """Refuse what cannot be called without arguments."""
    check(what, function)


def named_after(function: Function) -> str:
    """Return the name of a function, or of the class of an object that is called like one."""
    while isinstance(function, functools.partial):
        function = function.func
    return name_of(function) if hasattr(function, "__qualname__") else type(function).__name__


def check_options(what: str, options: CronOptions) -> None:
    """Refuse unknown keywords, and a calendar that is only a name."""
    known = CronOptions.__annotations__
    for word in options:
        if word not in known:
            raise OptionError(f"{what} has no option {word!r}. {did_you_mean(word, (*known, 'tz', 'name'))}")
    calendar = options.get("calendar")
    if not isinstance(calendar, Calendar | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(f"calendar is {calendar!r}, but must be a Calendar: a cron has no store of calendars.")
    wrappers: object = options.get("wrappers") or ()
    if not is_sequence(wrappers) or not all(callable(each) for each in wrappers):
        raise OptionError(f"wrappers is {wrappers!r}, but must be a list of functions, such as [skip_if_running].")


def joined_options(defaults: CronOptions, own: CronOptions) -> CronOptions:
    """Return the options of an entry with the defaults of its cron. The wrappers of the cron are the outer ones."""
    wrappers = (*(defaults.get("wrappers") or ()), *(own.get("wrappers") or ()))
    given = {name: value for name, value in own.items() if value is not None}
    return cast("CronOptions", {**defaults, **given, "wrappers": wrappers})


def read_when(when: When) -> tuple[tuple[str, ...], tuple[Trigger, ...]]:
    """Return the texts and the triggers of an entry."""
    items = list(when) if is_sequence(when) else [when]
    for item in items:
        if not isinstance(item, str | Trigger):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(f"{item!r} is not a spec: write a text such as '30 2 * * *', every(...), or a Trigger.")
    texts = tuple(str(item) for item in items if isinstance(item, str))
    return texts, tuple(item for item in items if isinstance(item, Trigger))


def make_definition(
    name: str, texts: Sequence[str], triggers: Sequence[Trigger], timezone: str, options: CronOptions
) -> ScheduleDefinition:
    """Return the definition of an entry. Raises ScheduleInvalid."""
    words: dict[str, Any] = {word: value for word, value in options.items() if word not in ("calendar", "wrappers")}
    calendar = options.get("calendar")
    if calendar is not None:
        words["calendar"] = calendar.name
    specs = texts or ((_PLACEHOLDER,) if triggers else ())
    return ScheduleDefinition.read(
        {**words, "name": name, "task_type": name, "specs": specs, "timezone": timezone}, timezone=timezone
    )


def refuse_for_threads(definition: ScheduleDefinition, name: str) -> None:
    """Refuse what would have to stop a function that runs in a thread."""
    for word, given in (("overlap='replace'", definition.overlap == "replace"), ("timeout", definition.timeout)):
        if given:
            raise OptionError(
                f"{word} has to cancel a run, but {name} is a plain def, and its thread cannot be. Make it async."
            )
