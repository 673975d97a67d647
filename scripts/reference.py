"""The tables of the reference pages, made from the code."""

import inspect
from collections.abc import Callable, Iterable

from rota import errors


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), *[list(row) for row in rows]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def error_table() -> str:
    """List what Rota raises, in the order of the source, with the kind each belongs to."""
    found = [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == errors.__name__
    ]
    rows = [
        (
            f"`{kind.__name__}`",
            ", ".join(f"`{base.__name__}`" for base in kind.__bases__),
            " ".join(_text(kind).split()),
        )
        for kind in found
    ]
    return table(("Error", "Is a", "Means"), rows)


def _text(kind: type) -> str:
    return inspect.getdoc(kind) or ""


TABLES: dict[str, Callable[[], str]] = {"errors": error_table}
