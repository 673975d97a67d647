"""What a worker says of itself when it starts, in ten lines."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from rota.setting_values import ProcessRange

_MOST_TYPES = 6


@dataclass(frozen=True, slots=True)
class Banner:
    """The facts of a start. `broker` must not hold a password."""

    version: str
    app: str
    broker: str
    server: str
    queues: dict[str, int]
    strict: bool
    concurrency: int
    processes: ProcessRange
    wake_up: str
    types: Sequence[str]
    warnings: Sequence[str]

    def lines(self) -> list[str]:
        """Return the lines with Rich's markup."""
        order = "strict: the first that has tasks" if self.strict else "weighted"
        slots = f"{self.concurrency} at once" + (
            f" in each of {self.processes} processes" if self.processes.most > 1 else ""
        )
        facts = {
            "app": self.app,
            "broker": self.broker,
            "server": self.server,
            "queues": f"{', '.join(f'{name}={weight}' for name, weight in self.queues.items())} ({order})",
            "tasks": slots,
            "types": self._types(),
            "wake-up": self.wake_up,
            "stop": "Ctrl-C once: finish what runs; twice: at once",
        }
        lines = [f"[bold cyan]Rota {escape(self.version)}[/]"]
        lines += [f"  [dim]{name:<8}[/] {escape(value)}" for name, value in facts.items()]
        if not self.warnings:
            return [*lines, "  [dim]warnings[/] none"]
        return lines + [f"  [yellow]warning  {escape(warning)}[/]" for warning in self.warnings]

    def show(self, console: Console) -> None:
        """Print the banner."""
        for line in self.lines():
            console.print(line, soft_wrap=True, highlight=False)

    def _types(self) -> str:
        if not self.types:
            return (
                "none. Tasks are registered when their module is imported: name those modules too, "
                f"rota worker {self.app} module_with_tasks"
            )
        more = len(self.types) - _MOST_TYPES
        return ", ".join(sorted(self.types)[:_MOST_TYPES]) + (f" and {more} more" if more > 0 else "")
