"""The row of a soak in `docs/reliability.md`."""

import time
from collections import Counter
from dataclasses import dataclass

from tests.crash import page
from tests.crash.checker import Verdict

ROWS = 6


@dataclass(frozen=True, slots=True)
class Report:
    """What was run and what came of it."""

    command: str
    mode: str
    faults: Counter[str]
    verdict: Verdict

    def row(self) -> str:
        """The row of the table."""
        faults = ", ".join(f"{number} × {name}" for name, number in self.faults.most_common())
        day = time.strftime("%Y-%m-%d", time.gmtime())
        of = self.verdict
        return (
            f"| {day} | `{self.command}` | {self.mode} | {faults} | {of.accepted} | {of.done} | {of.archived} "
            f"| {of.runs} | {of.died} | {of.again} | {of.asynq} | {of.forgotten} | {len(of.lost)} | {len(of.doubled)} |"
        )

    def write(self) -> None:
        """Put the row at the top of the table, and keep those before it."""
        head, rule, *rows = page.read("soak")
        page.write("soak", [head, rule, self.row(), *rows[: ROWS - 1]])
