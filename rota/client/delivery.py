"""How an enqueue is delivered: what it does while the server is away, and how many replicas must have it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from rota.duration import DurationLike, parse
from rota.errors import OptionError
from rota.suggestion import did_you_mean

WhenAway: TypeAlias = Literal["wait", "fail", "buffer"]

_WAYS = ("wait", "fail", "buffer")
_DURATIONS = ("flush_timeout", "wait_replicas_timeout")


class DeliveryWords(TypedDict, total=False):
    """The keywords of `client.sending(...)`: the settings of the same names."""

    when_away: WhenAway
    buffer_max: int
    flush_timeout: DurationLike
    wait_replicas: int
    wait_replicas_timeout: DurationLike
    replicas_missing: Literal["raise", "warn"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The settings of the same names, for one client."""

    when_away: WhenAway = "wait"
    buffer_max: int = 10_000
    flush_timeout: timedelta = timedelta(seconds=5)
    wait_replicas: int = 0
    wait_replicas_timeout: timedelta = timedelta(seconds=1)
    replicas_missing: Literal["raise", "warn"] = "raise"

    def __post_init__(self) -> None:
        if self.when_away not in _WAYS:
            raise OptionError(f"when_away is {self.when_away!r}. {did_you_mean(self.when_away, _WAYS)}")
        if self.replicas_missing not in ("raise", "warn"):
            raise OptionError(f"replicas_missing is {self.replicas_missing!r}, but must be 'raise' or 'warn'.")
        if self.buffer_max < 1 or self.wait_replicas < 0:
            raise OptionError("buffer_max must be 1 or more, wait_replicas 0 or more.")
        if self.wait_replicas_timeout <= timedelta(0):
            raise OptionError("wait_replicas_timeout must be longer than zero: zero would wait for ever.")
        if self.when_away == "buffer" and self.wait_replicas:
            raise OptionError(
                "when_away='buffer' accepts a task before any server has it, wait_replicas only when several have it: "
                "give one of them."
            )

    @property
    def buffers(self) -> bool:
        """Whether tasks go through a buffer."""
        return self.when_away == "buffer"

    def updated(self, **words: Any) -> "Delivery":
        """Return this with some words replaced. A client that buffers by its settings may wait for replicas by word."""
        known = type(self).__slots__
        for name in words:
            if name not in known:
                raise OptionError(f"There is no word {name!r} for a delivery. {did_you_mean(name, known)}")
        if words.get("wait_replicas") and self.when_away == "buffer":
            words = {"when_away": "wait", **words}
        given = {name: getattr(self, name) for name in known} | words
        for name in _DURATIONS:
            given[name] = parse(given[name], name)
        return Delivery(**given)
