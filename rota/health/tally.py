"""What all processes of one command have counted, those that have ended too."""

from collections import Counter
from collections.abc import Iterable

from rota.health.type_names import TypeNames
from rota.health.vitals import Vitals


class Tally:
    """Sums that never go down while processes come and go."""

    def __init__(self) -> None:
        self._past: Counter[str] = Counter()
        self._types = TypeNames()

    def count(self, name: str, number: int = 1) -> None:
        """Count something that belongs to no process."""
        self._past[name] += number

    def ended(self, vitals: Vitals) -> None:
        """Keep what a process had counted when it last reported."""
        self._past.update(self._counts(vitals))

    def total(self, processes: Iterable[Vitals]) -> dict[str, float]:
        """Return the sums, with what the living have counted."""
        total = Counter(self._past)
        for vitals in processes:
            total.update(self._counts(vitals))
        return dict[str, float](total)

    def _counts(self, vitals: Vitals) -> dict[str, int]:
        unknown: Counter[str] = Counter()
        for name, count in vitals.unknown_types.items():
            # Bounded here as well: processes come and go, and each may have met other types.
            unknown[f"unknown:{self._types.name(name)}"] += count
        # Counter adds up fractions as well; only its annotation says whole numbers.
        return {**vitals.counts, **unknown}  # type: ignore[dict-item]
