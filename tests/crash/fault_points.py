"""The fault points of `rota.core.faults`, read from the code."""

import ast
from collections.abc import Iterator
from functools import cache

from tests.crash.workers import ROOT


def points(*, of_scheduler: bool = False) -> Iterator[tuple[str, str]]:
    """Every point of workers and supervisors, or of schedulers, with the function that it calls."""
    for point, kind in all_points():
        if point.startswith("scheduler:") == of_scheduler:
            yield point, kind


@cache
def all_points() -> tuple[tuple[str, str], ...]:
    """Every point, with the function that it calls."""
    return tuple(_all_points())


def _all_points() -> Iterator[tuple[str, str]]:
    texts = (path.read_text() for path in sorted((ROOT / "rota").rglob("*.py")))
    for text in texts:
        for node in ast.walk(ast.parse(text)) if "faults." in text else ():
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="faults"), attr=kind), args=[ast.Constant(value=str(point))]
                ):
                    yield point, kind


def cases() -> Iterator[tuple[str, str]]:
    """Every point with what can happen there: a reply may be lost where one has come."""
    for point, kind in points():
        yield point, "kill"
        if kind == "answered":
            yield point, "drop"
