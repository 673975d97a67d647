"""What all processes of one command have counted, ended processes too, under a bounded number of type names.

Names of unknown types come from producers, and each may hold an ID. So the first `MOST_TYPES` keep their names for
good, and all others share one name: the labels of a metric stay few and do not come and go.
"""

from collections import Counter
from collections.abc import Iterable

from rota.health.status import ProcessStatus

MOST_TYPES = 50
OTHER_TYPES = "(other types)"


class TypeNames:
    """The names that are counted each for itself."""

    def __init__(self) -> None:
        self._names = {OTHER_TYPES}

    def name(self, type: str) -> str:
        """Return the name under which a type is counted."""
        if type not in self._names:
            if len(self._names) > MOST_TYPES:
                return OTHER_TYPES
            self._names.add(type)
        return type


class Counters:
    """Sums that never go down while processes come and go."""

    def __init__(self) -> None:
        self._past: Counter[str] = Counter()
        self._types = TypeNames()

    def count(self, name: str, number: int = 1) -> None:
        """Count something that belongs to no process."""
        self._past[name] += number

    def ended(self, vitals: ProcessStatus) -> None:
        """Keep what a process had counted when it last reported."""
        self._past.update(self._counts(vitals))

    def total(self, processes: Iterable[ProcessStatus]) -> dict[str, float]:
        """Return the sums, with what the living have counted."""
        total = Counter(self._past)
        for vitals in processes:
            total.update(self._counts(vitals))
        return dict[str, float](total)

    def _counts(self, vitals: ProcessStatus) -> dict[str, int]:
        unknown: Counter[str] = Counter()
        for name, count in vitals.unknown_types.items():
            # Bounded here as well: processes come and go, and each may have met other types.
            unknown[f"unknown:{self._types.name(name)}"] += count
        # Counter adds up fractions as well; only its annotation says whole numbers.
        return {**vitals.counts, **unknown}  # type: ignore[dict-item]
