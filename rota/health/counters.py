"""Sums over all processes of one command, including ended ones, with a bounded number of type names.

Names of unknown types come from producers, and each name may contain an ID. So the first `MOST_TYPES` names are
counted separately for good, and all others share one name. This keeps the labels of a metric few and stable.
"""

from collections import Counter
from collections.abc import Iterable

from rota.health.process_status import ProcessStatus

MOST_TYPES = 50
OTHER_TYPES = "(other types)"


class TypeNames:
    """The type names that have a count of their own."""

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
    """Sums that never decrease when processes end or are replaced."""

    def __init__(self) -> None:
        self._past: Counter[str] = Counter()
        self._types = TypeNames()

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count that does not belong to one process."""
        self._past[name] += number

    def ended(self, vitals: ProcessStatus) -> None:
        """Add the counts from the last report of a process that has ended."""
        self._past.update(self._counts(vitals))

    def total(self, processes: Iterable[ProcessStatus]) -> dict[str, float]:
        """Return the sums, including the counts of these running processes."""
        total = Counter(self._past)
        for vitals in processes:
            total.update(self._counts(vitals))
        return dict[str, float](total)

    def _counts(self, vitals: ProcessStatus) -> dict[str, int]:
        unknown: Counter[str] = Counter()
        for name, count in vitals.unknown_types.items():
            # Each process bounds its own names, but different processes may have received different types.
            unknown[f"unknown:{self._types.name(name)}"] += count
        # Counter also adds floats; only its type annotation is limited to int.
        return {**vitals.counts, **unknown}  # type: ignore[dict-item]
