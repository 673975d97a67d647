"""The policies for retrying, uniqueness and debouncing: frozen values that can be tested without a server.

`Retry` decides after a failed run, in the worker (`rota.worker.run.verdict`): whether the task runs again, when, and
whether this uses up a retry. If a function of the user raises an error, such as `delay=`, the worker uses the default
policy. `Unique` and `Debounce` decide at an enqueue: the packer makes the lock of them, and the script takes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeAlias, cast, get_args

from rota.core.canonical import KeyFormatter, is_array
from rota.core.duration import DurationLike, at_least, parse
from rota.core.randomness import RANDOM
from rota.core.source_line import names_source_line
from rota.core.text import did_you_mean, unstopped
from rota.errors import OptionError, PayloadError, RetryLater, Revoke, SkipRetry, leaves
from rota.tasks.callback import check, refuse_unrun

Backoff: TypeAlias = Literal["asynq", "exponential", "linear"]
Scope: TypeAlias = Literal["ttl", "queued", "running"]
OnConflict: TypeAlias = Literal["return", "raise", "replace"]
DelayFunction: TypeAlias = Callable[[int, BaseException], DurationLike]

LONGEST_DELAY_SECONDS = 3650 * 86400.0
"""Ten years. A delay that grows with the number of retries would eventually overflow a timedelta."""
MAX_RETRY = 2**31 - 1  # int32 on the wire
_FORMATTER = KeyFormatter()


class Rng(Protocol):
    """The part of `random.Random` that jitter needs."""

    def random(self) -> float: ...  # noqa: D102
    def randrange(self, start: int, /) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """How often, after which errors, and after what delay a failed task runs again.

    The default is Asynq's: 25 retries over about 20 days.
    """

    max: int
    only: tuple[type[BaseException], ...]
    never: tuple[type[BaseException], ...]
    backoff: Backoff
    base: timedelta
    cap: timedelta | None
    jitter: float
    delay: timedelta | DelayFunction | None
    is_failure: Callable[[BaseException], bool] | None

    @names_source_line
    def __init__(
        self,
        max: int = 25,
        *,
        only: Sequence[type[BaseException]] | type[BaseException] = (),
        never: Sequence[type[BaseException]] | type[BaseException] = (),
        backoff: Backoff = "asynq",
        base: DurationLike | None = None,
        cap: DurationLike | None = None,
        jitter: float = 0.0,
        delay: DurationLike | DelayFunction | None = None,
        is_failure: Callable[[BaseException], bool] | None = None,
    ) -> None:
        """Define how to retry.

        `only` and `never` choose by error class; `never` wins. An ExceptionGroup is judged by the errors in it: one in
        `never` is enough to archive the task, and with `only` all of them must be in `only`. `delay` is one duration
        for every retry, or a function of the number of retries so far and the error; without it `backoff` decides.
        `base` is the first delay of a linear or exponential backoff (10 s by default). `jitter` is the largest random
        addition, as a share of the delay (0 to 1). `cap` is the longest delay, and no delay is longer than ten years.
        An error for which `is_failure` returns false is retried, but does not count as a failure or use up a retry.
        """
        put = object.__setattr__
        put(self, "max", _whole("Retry(max=...)", max))
        put(self, "only", _classes("only", only))
        put(self, "never", _classes("never", never))
        put(self, "backoff", _choice("Retry(backoff=...)", backoff, get_args(Backoff)))
        put(self, "base", parse("10s" if base is None else base, "Retry(base=...)"))
        put(self, "cap", None if cap is None else parse(cap, "Retry(cap=...)"))
        put(self, "jitter", _share("Retry(jitter=...)", jitter))
        put(self, "delay", _delay("Retry(delay=...)", delay))
        put(self, "is_failure", _judge("Retry(is_failure=...)", is_failure))
        _check_conflicts(self, base_given=base is not None)

    @classmethod
    def of(cls, value: "Retry | int") -> "Retry":
        """Read a retry option: a policy, or only the number of retries."""
        return value if isinstance(value, Retry) else cls(value)

    def decides(self, error: BaseException) -> bool:
        """Whether this error may be retried, regardless of the number of retries left.

        A payload that does not fit the function is not retried, because it will not fit the next time either.
        """
        errors = list(leaves(error))
        if self.forbids(error):
            return False
        if self.only:
            return isinstance(error, self.only) or all(isinstance(each, self.only) for each in errors)
        return not any(isinstance(each, PayloadError) for each in errors)

    def forbids(self, error: BaseException) -> bool:
        """Whether this error, or one in this group, rules out a retry: `SkipRetry`, or a class in `never`."""
        errors = [each for each in leaves(error) if not isinstance(each, Revoke | RetryLater)]
        final: tuple[type[BaseException], ...] = (SkipRetry, *self.never)
        return bool(errors) and any(isinstance(each, final) for each in (error, *errors))

    def counts(self, error: BaseException) -> bool:
        """Whether this error counts as a failure and uses up a retry."""
        if self.is_failure is None:
            return True
        answer = self.is_failure(error)
        refuse_unrun("Retry(is_failure=...)", answer)
        return answer

    def next_delay(self, retried: int, error: BaseException, rng: Rng = RANDOM) -> timedelta:
        """Return the delay before the next run, after `retried` earlier retries."""
        # Computed in seconds, because the delay before capping may overflow a timedelta.
        seconds = self._bare_seconds(retried, error, rng)
        if self.jitter:
            seconds += seconds * self.jitter * rng.random()
        if self.cap is not None and seconds >= self.cap.total_seconds():
            return self.cap
        return timedelta(seconds=min(seconds, LONGEST_DELAY_SECONDS))

    def _bare_seconds(self, retried: int, error: BaseException, rng: Rng) -> float:
        if isinstance(self.delay, timedelta):
            return self.delay.total_seconds()
        if self.delay is not None:
            asked = self.delay(retried, error)
            refuse_unrun("Retry(delay=...)", asked)
            return _asked_seconds(asked)
        if self.backoff == "asynq":
            return default_delay_seconds(retried, rng.randrange)
        if self.backoff == "linear":
            return self.base.total_seconds() * (retried + 1)
        return self.base.total_seconds() * 2.0 ** min(retried, 60)


def default_delay_seconds(retried: int, draw: Callable[[int], int] = RANDOM.randrange) -> int:
    """Return the delay after a failure by Asynq's formula (`DefaultRetryDelayFunc` in `server.go`).

    The delay is about half a minute at first, days after twenty failures, and 2.7 million years after 3000. `retried`
    counts the retries so far: 0 at the first failure. `draw(n)` returns a random number from 0 to n - 1.
    """
    return retried**4 + 15 + draw(30) * (retried + 1)


@dataclass(frozen=True, slots=True, init=False)
class Unique:
    """At most one task per key: a lock taken at enqueue.

    Scope `"ttl"` (Asynq's) holds the lock until success or until the `ttl` is over. `"queued"` releases it when the
    task starts. `"running"` holds it until the task has ended, with success or without. `"queued"` and `"running"` do
    not require a `ttl`, because their lock ends with its task, even if the task was lost. A `ttl` limits them too.
    """

    ttl: timedelta | None
    scope: Scope
    key: str | None
    on_conflict: OnConflict

    @names_source_line
    def __init__(
        self,
        ttl: DurationLike | None = None,
        *,
        scope: Scope = "ttl",
        key: str | None = None,
        on_conflict: OnConflict = "return",
    ) -> None:
        """Define which tasks are the same, and what happens to the second one.

        Without `key`, the lock is made of queue, type and payload. A key may name arguments and their fields:
        `key="user-{user_id}"`, `key="{order.id}"`.
        """
        put = object.__setattr__
        put(self, "ttl", None if ttl is None else _life(ttl))
        put(self, "scope", _choice("Unique(scope=...)", scope, get_args(Scope)))
        put(self, "key", _key("Unique(key=...)", key))
        put(self, "on_conflict", _choice("Unique(on_conflict=...)", on_conflict, get_args(OnConflict)))
        if ttl is None and scope == "ttl":
            raise OptionError("Unique(scope='ttl') needs a ttl, as in Unique('10m'), or choose 'queued' or 'running'.")

    @classmethod
    def of(cls, value: "Unique | DurationLike") -> "Unique":
        """Read a unique option: a policy, or only the lifetime of the lock."""
        return value if isinstance(value, Unique) else cls(value)

    def bound(self, arguments: Mapping[str, Any]) -> "Unique":
        """Return this policy with the arguments, as the function gets them, written into its key."""
        key = _filled("Unique(key=...)", self.key, arguments)
        return self if key == self.key else Unique(self.ttl, scope=self.scope, key=key, on_conflict=self.on_conflict)


@dataclass(frozen=True, slots=True, init=False)
class Debounce:
    """Run once, `wait` after the last call with this key, and `max_wait` after the first call at the latest."""

    key: str
    wait: timedelta
    max_wait: timedelta | None

    @names_source_line
    def __init__(self, key: str, wait: DurationLike, max_wait: DurationLike | None = None) -> None:
        """Define which calls are joined. The key may name arguments: `"user-{user_id}"`."""
        put = object.__setattr__
        put(self, "key", _key("Debounce(key=...)", cast("str | None", key) or ""))
        put(self, "wait", at_least(wait, timedelta(milliseconds=1), "Debounce(wait=...)", "nothing would be joined"))
        put(self, "max_wait", None if max_wait is None else parse(max_wait, "Debounce(max_wait=...)"))
        if self.max_wait is not None and self.max_wait < self.wait:
            raise OptionError("Debounce(max_wait=...) is shorter than wait: no call could wait as long as it should.")

    def bound(self, arguments: Mapping[str, Any]) -> "Debounce":
        """Return this policy with the arguments, as the function gets them, written into its key."""
        key = _filled("Debounce(key=...)", self.key, arguments)
        return self if key is None or key == self.key else Debounce(key, self.wait, self.max_wait)


def _check_conflicts(retry: Retry, *, base_given: bool) -> None:
    if retry.delay is not None and (base_given or retry.backoff != "asynq"):
        raise OptionError("Retry(delay=...) and a backoff both say how long to wait: give one of them.")
    if retry.delay is None and retry.backoff == "asynq" and (base_given or retry.jitter):
        raise OptionError(
            "Retry(base=..., jitter=...) belong to another backoff: Asynq's formula has its own. "
            "Add backoff='exponential' or 'linear'."
        )
    if both := set(retry.only) & set(retry.never):
        names = ", ".join(sorted(error.__name__ for error in both))
        raise OptionError(f"Retry names {names} in only= and in never=: keep one.")


def _asked_seconds(asked: DurationLike) -> float:
    """Read the delay that the function of `Retry(delay=...)` returned. A number may be larger than any duration."""
    if isinstance(asked, int | float) and asked > LONGEST_DELAY_SECONDS:
        return LONGEST_DELAY_SECONDS
    return parse(asked, "the delay that Retry(delay=...) returned").total_seconds()


def _life(ttl: DurationLike) -> timedelta:
    return at_least(ttl, timedelta(seconds=1), "Unique(ttl=...)", "the lock counts whole seconds")


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_RETRY:
        raise OptionError(f"{name} is {value!r}, but must be a whole number from 0 to {MAX_RETRY}; 0 means no retry.")
    return value


def _share(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise OptionError(f"{name} is {value!r}, but must be a share from 0 to 1.")
    return float(value)


def _delay(name: str, value: Any) -> timedelta | DelayFunction | None:
    if not callable(value):
        return None if value is None else parse(value, name)
    check(name, value, "retried", "error", is_async=False)
    return cast("DelayFunction", value)


def _judge(name: str, value: Any) -> Callable[[BaseException], bool] | None:
    if value is None:
        return None
    if isinstance(value, type) and issubclass(value, BaseException):
        raise OptionError(f"{name} is the class {value.__name__}: choose by class with only= or never=.")
    check(name, value, "error", is_async=False)
    return cast("Callable[[BaseException], bool]", value)


def _choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise OptionError(f"{name} is {value!r}. {did_you_mean(str(value), choices)}")
    return str(value)


def _key(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise OptionError(f"{name} is {value!r}, but must be a text that may name arguments, as 'user-{{user_id}}'.")
    if value is not None and not value.strip():
        raise OptionError(f"{name} is blank: leave it out, or say what makes two tasks the same.")
    return value


def _filled(name: str, key: str | None, arguments: Mapping[str, Any]) -> str | None:
    if key is None or "{" not in key:
        return key
    try:
        return _FORMATTER.vformat(key, (), arguments)
    except OptionError as error:
        raise OptionError(f"{name} is {key!r}: {error}") from None
    except (KeyError, IndexError, AttributeError, ValueError, TypeError) as error:
        raise OptionError(
            f"{name} is {key!r}, which names no argument: {unstopped(error)}. {did_you_mean(key, arguments)}"
        ) from None


def _classes(name: str, value: Any) -> tuple[type[BaseException], ...]:
    classes: tuple[Any, ...] = tuple(value) if is_array(value) else (value,)
    for item in classes:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise OptionError(f"Retry({name}=...) holds {item!r}, which is no exception class.")
    return classes
