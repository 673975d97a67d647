"""The page of one run."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.report import machine
from benchmarks.schedules.own import Lateness
from benchmarks.schedules.peers import PeerResult


@dataclass(slots=True)
class Page:
    """All results, as far as they are measured."""

    command: str
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    lateness: list[Lateness] = field(default_factory=list[Lateness])
    bursts: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])
    idle: tuple[float, float] | None = None
    takeovers: Sequence[float] = ()
    peers: list[PeerResult] = field(default_factory=list[PeerResult])
    bars: int = 10_000

    def markdown(self) -> str:
        """The page, as it is printed too."""
        date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        parts = [
            "# Schedules",
            f"{date} · {machine()} · Python {platform.python_version()} · load before the run: {self.load:.1f}",
            f"`{self.command}`. The method is in `benchmarks/schedules/__init__.py`.",
        ]
        if self.lateness:
            head = "| 100 fires a second | runs | p50 ms | p99 ms | p99.9 ms | most ms | within 50 ms |"
            parts.append(
                "\n".join([head, "|---|---:|---:|---:|---:|---:|---:|", *(each.row() for each in self.lateness)])
            )
        if own := list(self._own()):
            parts.append("\n".join(["| Rota | |", "|---|---|", *own]))
        if self.peers:
            parts.append(self._table())
        return "\n\n".join(parts) + "\n"

    def _own(self) -> Sequence[str]:
        rows = [
            f"| {count:,} due at once: half, and all, are enqueued after | {half:.2f} s, {whole:.2f} s |"
            for count, (half, whole) in self.bursts.items()
        ]
        if self.idle is not None:
            share, memory = self.idle
            rows.append(
                f"| {self.bars:,} schedules, none due: share of a core, memory | {share:.2%}, {memory:.0f} MB |"
            )
        if self.takeovers:
            middle = self.takeovers[len(self.takeovers) // 2]
            rows.append(
                f"| the leader is killed ({len(self.takeovers)} times): the next task after, median and most | "
                f"{middle:.1f} s, {self.takeovers[-1]:.1f} s |"
            )
        return rows

    def _table(self) -> str:
        bursts = sorted({count for peer in self.peers for count in peer.bursts})
        head = [
            "same measure for all, from outside",
            "100 entries each second: fires of expected",
            "late p50 ms",
            "late p99 ms",
            *(f"{count:,} due at once: the last one after" for count in bursts),
            "10,000 idle: share of a core, memory",
        ]
        lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        for peer in self.peers:
            cells = [peer.label, *self._cells(peer, bursts)]
            lines.append("| " + " | ".join(cells) + " |")
        problems = [f"- {peer.label}: {peer.problem}" for peer in self.peers if peer.problem]
        return "\n".join([*lines, *(["", "Not measured:", *problems] if problems else [])])

    def _cells(self, peer: PeerResult, bursts: Sequence[int]) -> Sequence[str]:
        cells = ["", "", ""]
        if (found := peer.lateness) is not None:
            fires = f"{len(found.values)} of {peer.expected}"
            cells = [fires, f"{found.quantile(0.5):.1f}", f"{found.quantile(0.99):.1f}"]
        for count in bursts:
            came, after = peer.bursts.get(count, (0, float("nan")))
            cells.append(f"{after:.2f} s" + (f", {came:,} came" if came != count else ""))
        cells.append("" if peer.idle is None else f"{peer.idle[0]:.2%}, {peer.idle[1]:.0f} MB")
        return cells
