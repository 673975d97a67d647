"""The options of one enqueue: Asynq's options and a few of Rota's own, checked before anything is sent.

The `TypedDict` classes are the keywords that users write, for their type checkers. `Options` is the value that they
become: a task has one, `task.options(...)` makes a changed copy with `updated`, and the packer writes it into the
message. A new option is a field of both, with its text in `scripts/option_texts.py`. Conditions that depend on the
server, such as a taken ID, are not checked here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypedDict

from rota.core.canonical import is_mapping
from rota.core.duration import DurationLike, at_least, parse
from rota.core.text import did_you_mean
from rota.errors import OptionError
from rota.tasks.context import Context
from rota.tasks.policy import MAX_RETRY, Debounce, Retry, Unique
from rota.wire.enqueue import DEFAULT_MAX_RETRY, DEFAULT_TIMEOUT_S
from rota.wire.times import whole_seconds

SECOND = timedelta(seconds=1)
WHOLE_SECONDS = "the wire counts whole seconds, rounded up"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class EnqueueOptions(TypedDict, total=False):
    """The keywords of `task.options(...)` and `app.enqueue(...)`. None resets an option to its default."""

    queue: str | None
    max_retry: int | None
    timeout: DurationLike | None
    deadline: datetime | None
    process_at: datetime | None
    delay: DurationLike | None
    task_id: str | None
    unique: Unique | DurationLike | None
    retention: DurationLike | None
    group: str | None
    headers: Mapping[str, str]
    debounce: Debounce | None


Hook: TypeAlias = Callable[[Context, Any], Awaitable[None] | None]
"""A function called after a run with the context and the result, or the error. May be async."""


class RunOptions(TypedDict, total=False):
    """The keywords of `app.task(...)` and `app.handler(...)` that define how a function runs."""

    run: Literal["loop", "thread", "process"] | None
    timeout: DurationLike | None
    retry: Retry | int | None
    concurrency: int | None
    on_success: Hook | Sequence[Hook]
    on_failure: Hook | Sequence[Hook]
    on_exhausted: Hook | Sequence[Hook]
    lint: bool


class IncludeOptions(TypedDict, total=False):
    """The keywords of `app.include(...)` that are defaults for each task of a router."""

    queue: str | None
    timeout: DurationLike | None
    retry: Retry | int | None
    retention: DurationLike | None
    headers: Mapping[str, str]


class TaskOptions(RunOptions, total=False):
    """The keywords of `app.task(...)`."""

    queue: str | None
    unique: Unique | DurationLike | None
    retention: DurationLike | None
    delay: DurationLike | None
    group: str | None
    headers: Mapping[str, str]
    debounce: Debounce | None
    result: Any


ONE_CALL_ONLY = {
    "task_id": "every run would have the same ID",
    "process_at": "every run would be planned for the same instant",
    "deadline": "every run would end at the same instant",
    "max_retry": "a task says retry=Retry(...) or retry=5",
}
"""Options that only a single enqueue can have, and why."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one enqueue. None means "not given": the defaults of Asynq apply (queue `default`, 25 retries,
    30 minutes).
    """

    queue: str | None = None
    max_retry: int | None = None
    timeout: timedelta | None = None
    deadline: datetime | None = None
    process_at: datetime | None = None
    delay: timedelta | None = None
    task_id: str | None = None
    unique: Unique | None = None
    retention: timedelta | None = None
    group: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS, hash=False)
    debounce: Debounce | None = None
    declared: frozenset[str] = frozenset()
    """Names of those options that the task declares for all of its calls, and this call has not changed."""

    def __post_init__(self) -> None:
        for name in ("queue", "task_id", "group"):
            _check_text(name, getattr(self, name))
        if self.max_retry is not None:
            _check_retry(self.max_retry)
        for name in ("deadline", "process_at"):
            _check_instant(name, getattr(self, name))
        if self.timeout is not None:
            at_least(self.timeout, SECOND, "timeout", f"{WHOLE_SECONDS}; for no time limit give a far deadline")
        if self.retention:
            at_least(self.retention, SECOND, "retention", f"{WHOLE_SECONDS}; 0 keeps nothing")
        _check_headers(self.headers)
        _check_conflicts(self)

    @classmethod
    def of(cls, **words: Any) -> "Options":
        """Read the options that a task declares. The error for an unknown keyword suggests a known one."""
        return cls(**_read(words), declared=frozenset(words))

    def updated(self, **words: Any) -> "Options":
        """Return the options of a call: these with some replaced.

        Headers are merged; `delay` and `process_at` replace each other.
        """
        given = _read(words)
        given["declared"] = self.declared.difference(given)
        if "headers" in given and self.headers:
            given["headers"] = MappingProxyType({**self.headers, **given["headers"]})
        if given.get("delay") is not None:
            given.setdefault("process_at", None)
        if given.get("process_at") is not None:
            given.setdefault("delay", None)
        return replace(self, **given)

    @property
    def explicit(self) -> str:
        """Names of the options that were given for this call, although their values are Asynq's defaults.

        Asynq's clients write these values also if nothing was given, so a worker cannot tell from the message that they
        are meant. Values that the task declares are left out, because its worker knows them.
        """
        values = {
            "max_retry": self.max_retry == DEFAULT_MAX_RETRY,
            "timeout": self.timeout is not None and whole_seconds(self.timeout) == DEFAULT_TIMEOUT_S,
        }
        return " ".join(name for name, is_default in values.items() if is_default and name not in self.declared)

    @property
    def locks_payload(self) -> bool:
        """Whether the unique lock is made from the payload."""
        return self.unique is not None and self.unique.key is None

    @property
    def names_arguments(self) -> bool:
        """Whether a key of these options names arguments."""
        return any(policy is not None and "{" in (policy.key or "") for policy in (self.unique, self.debounce))

    def bound(self, arguments: Mapping[str, Any]) -> "Options":
        """Return these options with the arguments of one call written into the keys that name them."""
        if not self.names_arguments:
            return self
        unique = None if self.unique is None else self.unique.bound(arguments)
        debounce = None if self.debounce is None else self.debounce.bound(arguments)
        return replace(self, unique=unique, debounce=debounce)

    def words(self) -> dict[str, Any]:
        """The options that were given, by name."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None and value != {}}


NAMES: tuple[str, ...] = tuple(item.name for item in fields(Options) if item.name != "declared")


def _read(words: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(words)
    for name in words:
        if name not in NAMES:
            raise OptionError(f"There is no option {name!r}. {did_you_mean(name, NAMES)}")
    if given.get("timeout") is not None:
        given["timeout"] = parse(given["timeout"], "timeout")
    if given.get("delay") is not None:
        given["delay"] = parse(given["delay"], "delay")
    if given.get("retention") is not None:
        given["retention"] = parse(given["retention"], "retention")
    if given.get("unique") is not None:
        given["unique"] = Unique.of(given["unique"])
    if "headers" in given:
        given["headers"] = MappingProxyType(dict(_headers(given["headers"])))
    if not isinstance(given.get("debounce"), Debounce | None):
        raise OptionError(f"debounce is {given['debounce']!r}, but must be Debounce('user-{{user_id}}', '30s').")
    return given


def _headers(value: Any) -> Mapping[str, str]:
    if value is not None and not is_mapping(value):
        raise OptionError(f"headers is {value!r}, but must be a dict of texts.")
    return value or {}


def _check_text(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise OptionError(f"{name} is {value!r}, but must be a text with more than white space.")
    if name == "queue" and value is not None and value.startswith("}"):
        raise OptionError(f"The queue name {value!r} starts with '}}': its keys would spread over a Cluster.")


def _check_retry(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_RETRY:
        raise OptionError(f"max_retry is {value!r}, but must be a whole number, 0 (never again) or more.")


def _check_instant(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, datetime):
        raise OptionError(f"{name} is {value!r}, but must be a datetime with a time zone.")
    if value.tzinfo is None:
        raise OptionError(f"{name} is {value}, which has no time zone: add one, as in datetime.now(UTC).")


def _check_headers(headers: Mapping[str, str]) -> None:
    for key, value in headers.items():
        if not (isinstance(key, str) and isinstance(value, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(f"The header {key!r}: {value!r} must be text: headers travel as strings.")


def _check_conflicts(options: Options) -> None:
    if options.delay is not None and options.process_at is not None:
        raise OptionError("delay and process_at both say when: give one of them.")
    if options.debounce is None:
        return
    for name in ("delay", "process_at", "task_id", "unique", "group"):
        if getattr(options, name) is not None:
            raise OptionError(f"debounce decides when a task runs and which calls are one, so {name} cannot be given.")


NO_OPTIONS = Options()
