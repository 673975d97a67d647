"""The page of one server's run: what, where, with which versions, and the table."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contender import BY_NAME
from benchmarks.scenarios import Scale, measures
from benchmarks.sheet import Sheet


def machine() -> str:
    """Processor, cores and memory in words, without the name of the machine."""
    models = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) / 1e6 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    parts = [models[0] if models else platform.machine(), f"{os.cpu_count()} cores"]
    return ", ".join([*parts, *(f"{size:.0f} GB" for size in memory), f"{platform.system()} {platform.release()}"])


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


@dataclass
class Report:
    """Everything that is printed and kept."""

    server: str
    command: Sequence[str]
    is_whole: bool = True
    server_version: str = ""
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    sheet: Sheet = field(default_factory=Sheet)

    def markdown(self, scale: Scale) -> str:
        """The page, as it is printed too."""
        columns = [(name, BY_NAME[name].label) for name in self.versions]
        rows = measures(scale)
        notes = [f"{BY_NAME[name].label}: {reason}" for name, reason in self.missing.items()] + self.sheet.reasons()
        guarantees = [f"{BY_NAME[name].label}: {BY_NAME[name].guarantee}" for name in self.versions]
        packages = [" ".join(f"{package} {number}" for package, number in of.items()) for of in self.versions.values()]
        parts = [
            f"# {self.server} {self.server_version}",
            f"{self.date} · {machine()} · Python {platform.python_version()} · rounds: {scale.rounds}"
            f" · load before the run: {self.load:.1f}",
            f"`{' '.join(self.command)}`; in brackets the ratio to Go Asynq in this run. The method is in README.md.",
            self.sheet.table(rows, columns),
            "Guarantees: " + "; ".join(guarantees) + ".",
            "Versions: " + "; ".join(packages) + ".",
            *(["Not measured:\n" + "\n".join(f"- {note}" for note in notes)] if notes else []),
        ]
        return "\n\n".join(parts) + "\n"

    def keep(self, folder: Path, scale: Scale) -> None:
        """Write the page and all samples."""
        folder.mkdir(parents=True, exist_ok=True)
        # A run of some rows or some contenders must not take the place of a whole one.
        name = self.server if self.is_whole else f"{self.server}-partial"
        (folder / f"{name}.md").write_text(self.markdown(scale))
        facts = {
            "server": f"{self.server} {self.server_version}",
            "date": self.date,
            "machine": machine(),
            "load": self.load,
            "python": platform.python_version(),
            "command": " ".join(self.command),
            "scale": vars(scale),
            "versions": self.versions,
            "missing": self.missing,
            "gaps": self.sheet.gaps,
            "samples": self.sheet.as_json(),
        }
        (folder / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")
