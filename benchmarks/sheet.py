"""What was measured: samples by measure and contender, and the one table made of them."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measure:
    """One row. `quantile` picks from the pooled samples; without one, the median of the rounds is shown."""

    key: str
    title: str
    digits: int = 0
    quantile: float | None = None
    samples_of: str | None = None

    @property
    def source(self) -> str:
        """The key under which its samples are kept: the quantiles of one sample are several rows."""
        return self.samples_of or self.key


def quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that is not below that share of all."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Sheet:
    """The samples of one server's run."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    gaps: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, key: str, contender: str, *values: float) -> None:
        """Keep what a round gave."""
        self.samples[key][contender].extend(values)

    def miss(self, key: str, contender: str, reason: str) -> None:
        """Say why there is no value."""
        self.gaps[key][contender] = reason

    def value(self, measure: Measure, contender: str) -> float | None:
        """The number to show."""
        samples = self.samples.get(measure.source, {}).get(contender)
        if not samples:
            return None
        return statistics.median(samples) if measure.quantile is None else quantile(samples, measure.quantile)

    def cell(self, measure: Measure, contender: str) -> str:
        """The number and its ratio to Go's in the same row."""
        value, base = self.value(measure, contender), self.value(measure, "go")
        if value is None:
            return "–"
        shown = f"{value:,.{measure.digits}f}"
        if contender == "go" or not base:
            return shown
        ratio = value / base
        digits = 0 if ratio >= 10 else 2 if ratio >= 0.1 else 3
        return f"{shown} ({ratio:.{digits}f}x)"

    def has(self, measure: Measure) -> bool:
        """Whether anybody has a value."""
        return any(self.samples.get(measure.source, {}).values())

    def table(self, measures: Sequence[Measure], contenders: Sequence[tuple[str, str]]) -> str:
        """Markdown: a row for each measure, a column for each (name, label)."""
        rows = [["", *(label for _, label in contenders)]]
        shown = filter(self.has, measures)
        rows += [[measure.title, *(self.cell(measure, name) for name, _ in contenders)] for measure in shown]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["| " + " | ".join(_pad(row, widths)) + " |" for row in rows]
        rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
        return "\n".join([lines[0], rule, *lines[1:]])

    def reasons(self) -> list[str]:
        """Each gap's reason once, with who and where."""
        merged: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for key, by in self.gaps.items():
            for contender, reason in by.items():
                merged[reason][key].append(contender)
        return [f"{key} of {', '.join(whose)}: {reason}" for reason, by in merged.items() for key, whose in by.items()]

    def as_json(self) -> dict[str, Any]:
        """All samples."""
        return {key: dict(by) for key, by in self.samples.items()}


def _pad(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
