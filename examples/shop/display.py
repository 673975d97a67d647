"""How the demo looks on a terminal."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from examples.shop.journal import Entry


@dataclass(slots=True)
class Display:
    """One line for each thing that happens, and a table at the end."""

    console: Console = field(default_factory=lambda: Console(highlight=False))
    _done: list[Entry] = field(default_factory=list[Entry])
    _failed: list[Entry] = field(default_factory=list[Entry])

    def title(self, text: str) -> None:
        self.console.rule(f"[bold cyan]{escape(text)}", align="left", style="cyan")

    def say(self, text: str) -> None:
        self._line("[dim]·[/]", escape(text))

    def enqueued(self, text: str) -> None:
        self._line("[blue]→[/]", f"[blue]enqueued[/] {escape(text)}")

    def done(self, entry: Entry, made: str) -> None:
        self._done.append(entry)
        where = f"[dim]process {entry.pid}, {entry.seconds * 1000:.0f} ms[/]"
        self._line("[green]✓[/]", f"[bold]{entry.type:<15}[/] {escape(made)}  {where}")

    def failed(self, entry: Entry) -> None:
        self._failed.append(entry)
        what = f"{escape(entry.error)} [dim](attempt {entry.attempt}; it will be retried)[/]"
        self._line("[yellow]↻[/]", f"[bold]{entry.type:<15}[/] {what}")

    def run_done(self, schedule: str, planned: datetime, made: str, *, recovered: bool) -> None:
        """Show a run of a schedule that ended well."""
        after = " [green](recovered at its retry)[/]" if recovered else ""
        self._line("[green]✓[/]", f"[magenta]schedule[/] [bold]{schedule:<6}[/] {_of(planned)} {escape(made)}{after}")

    def run_failed(self, schedule: str, planned: datetime, error: str) -> None:
        """Show a run of a schedule whose first attempt failed."""
        what = f"{escape(error)} [dim](it will be retried)[/]"
        self._line("[yellow]↻[/]", f"[magenta]schedule[/] [bold]{schedule:<6}[/] {_of(planned)} {what}")

    def fault(self, text: str) -> None:
        self._line("[red]✗[/]", f"[red]{escape(text)}[/]")

    def summary(self, results: Path, *, waiting: int, faults: int) -> None:
        """Print the table, the folder of the results, and whether all is well."""
        self.console.print()
        self.console.print(self._table())
        self.console.print(f"Results: [cyan]{escape(str(results))}[/]", soft_wrap=True)
        if waiting:
            self.console.print(f"[yellow]{waiting} tasks wait on disk for the next run.[/]")
        if faults:
            self.console.print(f"[bold red]{faults} things went wrong; see above.[/]")
        else:
            self.console.print("[bold green]All that was asked for was done, and every result was checked.[/]")

    def _table(self) -> Table:
        table = Table("Task", header_style="bold")
        for title in ("done", "retries", "median", "slowest", "processes"):
            table.add_column(title, justify="right")
        for kind in sorted({entry.type for entry in self._done}):
            runs = [entry for entry in self._done if entry.type == kind]
            times = [entry.seconds * 1000 for entry in runs]
            retries = sum(entry.type == kind for entry in self._failed)
            pids = {entry.pid for entry in runs}
            cells = [len(runs), retries, f"{median(times):.0f} ms", f"{max(times):.0f} ms", len(pids)]
            table.add_row(kind, *map(str, cells))
        return table

    def _line(self, mark: str, text: str) -> None:
        now = datetime.now().strftime("%H:%M:%S")
        self.console.print(f"[dim]{now}[/] {mark} {text}", soft_wrap=True)


def _of(planned: datetime) -> str:
    return f"[dim]of {planned.astimezone():%H:%M:%S}[/]"
