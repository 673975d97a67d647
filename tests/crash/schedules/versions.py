"""The versions of a schedule, as the driver has written them, and the planned times that they mean.

Only two kinds of spec occur, so that this arithmetic is plain: a cron expression whose other fields are all `*`, which
names seconds of each minute, and `@every` with a number of seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

INTERVAL = "@every "


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a schedule. It was written between two moments of the wall clock. A deletion has no definition."""

    number: int
    sent: float
    committed: float
    definition: Mapping[str, Any] | None

    @property
    def is_on(self) -> bool:
        return self.definition is not None and self.definition.get("enabled", True) is not False

    @property
    def queue(self) -> str:
        return "" if self.definition is None else str(self.definition["queue"])

    def plans(self, second: int) -> bool:
        """Whether a whole second since 1970 is a planned time."""
        return self.is_on and second % 60 in seconds_of(self.spec)

    @property
    def spec(self) -> str:
        assert self.definition is not None
        return str(self.definition["specs"][0])


def seconds_of(spec: str) -> set[int]:
    """The seconds of each minute that an expression names."""
    first, _, rest = spec.partition(" ")
    assert rest == "* * * * *", spec
    if first == "*":
        return set(range(60))
    if first.startswith("*/"):
        return set(range(0, 60, int(first[2:])))
    return {int(each) for each in first.split(",")}


@dataclass(slots=True)
class Written:
    """A schedule with its versions, the oldest first."""

    id: str
    versions: list[Version] = field(default_factory=list[Version])

    @property
    def last(self) -> Version:
        return self.versions[-1]

    @property
    def is_interval(self) -> bool:
        """Whether its times count from its creation. The specs of such a schedule are not edited."""
        return self.versions[0].spec.startswith(INTERVAL)

    def last_planned(self, until: int) -> int | None:
        """The last whole second that its present version plans, up to one; an interval plans any."""
        if self.is_interval:
            return until
        seconds = (second for second in range(until, int(self.last.committed), -1) if self.last.plans(second))
        return next(seconds, None)

    @property
    def interval_ms(self) -> int:
        return int(self.versions[0].spec.removeprefix(INTERVAL).removesuffix("s")) * 1000
