"""Delivery settings: what an enqueue does while the server is away, and how many replicas must have the task."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, cast

from rota import events
from rota.core.duration import DurationLike, display, parse
from rota.core.text import counted, did_you_mean
from rota.errors import BrokerError, BrokerRefused, NotReplicated, OptionError
from rota.tasks.job import Receipt
from rota.wire.script import Argument

T = TypeVar("T")
WhenAway: TypeAlias = Literal["wait", "fail"]


_WAYS = ("wait", "fail")


class DeliveryOptions(TypedDict, total=False):
    """The keywords of `client.sending(...)`. They have the names of the settings."""

    when_away: WhenAway
    wait_replicas: int
    wait_replicas_timeout: DurationLike
    replicas_missing: Literal["raise", "warn"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery settings of one client."""

    when_away: WhenAway = "wait"
    wait_replicas: int = 0
    wait_replicas_timeout: timedelta = timedelta(seconds=1)
    replicas_missing: Literal["raise", "warn"] = "raise"

    def __post_init__(self) -> None:
        if self.when_away not in _WAYS:
            raise OptionError(f"when_away is {self.when_away!r}. {did_you_mean(str(self.when_away), _WAYS)}")
        if self.replicas_missing not in ("raise", "warn"):
            raise OptionError(f"replicas_missing is {self.replicas_missing!r}, but must be 'raise' or 'warn'.")
        replicas = cast("object", self.wait_replicas)
        if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
            raise OptionError(f"wait_replicas is {replicas!r}, but must be a whole number, 0 or more.")
        if self.wait_replicas_timeout <= timedelta(0):
            raise OptionError("wait_replicas_timeout must be longer than zero: zero would wait for ever.")

    def updated(self, **words: Any) -> "Delivery":
        """Return these settings with some replaced."""
        known = type(self).__slots__
        for name in words:
            if name not in known:
                raise OptionError(f"There is no word {name!r} for a delivery. {did_you_mean(name, known)}")
        given = {name: getattr(self, name) for name in known} | words
        given["wait_replicas_timeout"] = parse(given["wait_replicas_timeout"], "wait_replicas_timeout")
        return Delivery(**given)


class Unreplicated(BrokerError):
    """The script of a call ran and answered `reply`, but too few replicas have its writes."""

    def __init__(self, message: str, *, reply: Any, acknowledged: int) -> None:
        super().__init__(message, maybe_applied=True)
        self.reply = reply
        self.acknowledged = acknowledged

    def of(self, receipt: Receipt) -> NotReplicated:
        """Make the error that the caller gets."""
        text = f"Task {receipt.id} in queue {receipt.queue!r} is enqueued, but {self} Do not enqueue it again."
        return NotReplicated(text, enqueued=receipt, acknowledged=self.acknowledged)


class Demand:
    """Checks the answer of `WAIT` against the delivery settings."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.milliseconds = max(1, int(delivery.wait_replicas_timeout.total_seconds() * 1000))

    @property
    def words(self) -> tuple[Argument, ...]:
        """The `WAIT` command."""
        return ("WAIT", self._delivery.wait_replicas, self.milliseconds)

    def judge(self, reply: T, answer: int | BrokerRefused) -> T:
        """Return the reply of the script, or raise `Unreplicated`."""
        asked = self._delivery.wait_replicas
        if isinstance(answer, int) and answer >= asked:
            return reply
        acknowledged = answer if isinstance(answer, int) else 0
        if isinstance(answer, int):
            within = display(self._delivery.wait_replicas_timeout)
            why = f"only {acknowledged} of {counted(asked, 'replica')} had it within {within}: look at the replicas."
        else:
            why = f"it is unknown whether it is on {counted(asked, 'replica')}: {answer}"
        error = Unreplicated(why, reply=reply, acknowledged=acknowledged)
        if self._delivery.replicas_missing == "warn":
            events.emit(events.ReplicasMissing(error=error))
            return reply
        raise error
