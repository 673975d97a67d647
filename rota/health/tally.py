"""What all processes of one command have counted, those that have ended too."""

from collections import Counter
from collections.abc import Iterable

from rota.health.vitals import Vitals


class Tally:
    """Sums that never go down while processes come and go."""

    def __init__(self) -> None:
        self._past: Counter[str] = Counter()

    def count(self, name: str, number: int = 1) -> None:
        """Count something that belongs to no process."""
        self._past[name] += number

    def ended(self, vitals: Vitals) -> None:
        """Keep what a process had counted when it last reported."""
        self._past.update(_counts(vitals))

    def total(self, processes: Iterable[Vitals]) -> dict[str, float]:
        """Return the sums, with what the living have counted."""
        total = Counter(self._past)
        for vitals in processes:
            total.update(_counts(vitals))
        return dict[str, float](total)


def _counts(vitals: Vitals) -> dict[str, int]:
    unknown = {f"unknown:{name}": count for name, count in vitals.unknown_types.items()}
    # Counter adds up fractions as well; only its annotation says whole numbers.
    return {**vitals.counts, **unknown}  # type: ignore[dict-item]
