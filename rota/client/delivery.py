"""How an enqueue is delivered: what it does while the server is away, and how many replicas must have it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from rota.duration import DurationLike, parse
from rota.errors import OptionError
from rota.suggestion import did_you_mean

WhenAway: TypeAlias = Literal["wait", "fail"]

_WAYS = ("wait", "fail")


class DeliveryWords(TypedDict, total=False):
    """The keywords of `client.sending(...)`: the settings of the same names."""

    when_away: WhenAway
    wait_replicas: int
    wait_replicas_timeout: DurationLike
    replicas_missing: Literal["raise", "warn"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The settings of the same names, for one client."""

    when_away: WhenAway = "wait"
    wait_replicas: int = 0
    wait_replicas_timeout: timedelta = timedelta(seconds=1)
    replicas_missing: Literal["raise", "warn"] = "raise"

    def __post_init__(self) -> None:
        if self.when_away not in _WAYS:
            raise OptionError(f"when_away is {self.when_away!r}. {did_you_mean(self.when_away, _WAYS)}")
        if self.replicas_missing not in ("raise", "warn"):
            raise OptionError(f"replicas_missing is {self.replicas_missing!r}, but must be 'raise' or 'warn'.")
        if self.wait_replicas < 0:
            raise OptionError("wait_replicas must be 0 or more.")
        if self.wait_replicas_timeout <= timedelta(0):
            raise OptionError("wait_replicas_timeout must be longer than zero: zero would wait for ever.")

    def updated(self, **words: Any) -> "Delivery":
        """Return this with some words replaced."""
        known = type(self).__slots__
        for name in words:
            if name not in known:
                raise OptionError(f"There is no word {name!r} for a delivery. {did_you_mean(name, known)}")
        given = {name: getattr(self, name) for name in known} | words
        given["wait_replicas_timeout"] = parse(given["wait_replicas_timeout"], "wait_replicas_timeout")
        return Delivery(**given)
