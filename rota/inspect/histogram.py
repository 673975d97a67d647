"""Times as a histogram, from which percentiles are computed.

Histograms of several minutes, queues or types are merged by adding their buckets. Percentiles come from the merged
buckets, because an average of percentiles is not a percentile. A bucket is half as wide again as the one before it, so
a percentile is wrong by a fifth or so at most.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from rota.wire.minute import BOUNDS


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations, counted by the buckets of `rota.wire.minute.BOUNDS`. The last bucket has those above all bounds."""

    buckets: Mapping[int, int] = field(default_factory=dict[int, int], hash=False)

    @classmethod
    def of(cls, counts: Mapping[str, int], letter: str) -> "Histogram":
        """Take the buckets out of the counts of a type: `w` for waits, `r` for runs."""
        return cls(
            {int(name[1:]): number for name, number in counts.items() if name[0] == letter and name[1:].isdigit()}
        )

    @property
    def count(self) -> int:
        """Return the number of durations."""
        return sum(self.buckets.values())

    def percentile(self, percent: float) -> timedelta | None:
        """Return the duration that this share of all does not exceed, such as 95 percent; None if there are none.

        Within a bucket the times are taken to be spread evenly on a logarithmic scale, and in the first one on a linear
        scale. A time beyond all bounds counts as the last bound.
        """
        left = self.count * percent / 100
        for bucket, number in sorted(self.buckets.items()):
            if left <= number:
                return timedelta(seconds=_within(bucket, left / number if number else 0.0))
            left -= number
        return timedelta(seconds=_within(max(self.buckets), 1.0)) if self.buckets else None


def _within(bucket: int, share: float) -> float:
    if bucket >= len(BOUNDS):
        return BOUNDS[-1]
    upper = BOUNDS[bucket]
    if bucket == 0:
        return upper * share
    lower = BOUNDS[bucket - 1]
    return float(lower * (upper / lower) ** share)


NO_TIMES = Histogram()
