"""Holds files, classes and functions to a size that one can read at a sitting.

A file over 300 lines is a warning and over 500 a fault; a class over 300 and a function over 50 lines are faults, and
functions over 25 are counted. `size_exceptions.txt` lists what may be larger, as `<name> <lines>`. That list may only
shrink: an entry has to match the present size, and goes when it is no longer needed.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.tree import ROOT, project_files

EXCEPTIONS = Path(__file__).with_name("size_exceptions.txt")
GENERATED = {"rota/wire/proto.py"}
FILE_WARNING, FILE_LIMIT = 300, 500
CLASS_LIMIT = 300
FUNCTION_GOAL, FUNCTION_LIMIT = 25, 50


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, class or function with its length."""

    name: str
    kind: str
    lines: int

    @property
    def limit(self) -> int:
        return {"file": FILE_LIMIT, "class": CLASS_LIMIT, "function": FUNCTION_LIMIT}[self.kind]


def measure(name: str, source: str) -> Iterator[Piece]:
    """Yield the file itself, then each class and function in it, nested ones too."""
    yield Piece(name, "file", len(source.splitlines()))
    yield from _definitions(ast.parse(source), f"{name}::")


def _definitions(node: ast.AST, prefix: str) -> Iterator[Piece]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kind = "class" if isinstance(child, ast.ClassDef) else "function"
            yield Piece(prefix + child.name, kind, (child.end_lineno or child.lineno) - child.lineno + 1)
            yield from _definitions(child, f"{prefix}{child.name}.")
        else:
            yield from _definitions(child, prefix)


def read_exceptions(text: str) -> dict[str, int]:
    """Read `<name> <lines>` per line; `#` starts a comment."""
    entries = (line.split("#")[0].split() for line in text.splitlines())
    return {entry[0]: int(entry[1]) for entry in entries if entry}


def judge(pieces: Iterable[Piece], allowed: dict[str, int]) -> list[str]:
    """Return one sentence for each fault."""
    faults: list[str] = []
    unused = dict(allowed)
    for piece in pieces:
        bound = unused.pop(piece.name, None)
        if piece.lines <= piece.limit:
            if bound is not None:
                faults.append(f"{piece.name} is within the limit again: take it off {EXCEPTIONS.name}")
        elif bound is None:
            faults.append(f"{piece.name} has {piece.lines} lines, a {piece.kind} may have {piece.limit}: split it")
        elif piece.lines > bound:
            faults.append(f"{piece.name} grew from {bound} to {piece.lines} lines: an exception may only shrink")
        elif piece.lines < bound:
            faults.append(f"{piece.name} shrank to {piece.lines} lines: write that number into {EXCEPTIONS.name}")
    faults.extend(f"{name} does not exist: take it off {EXCEPTIONS.name}" for name in unused)
    return faults


def report(pieces: list[Piece]) -> None:
    """Print the warnings and how the functions stand."""
    for piece in pieces:
        if piece.kind == "file" and piece.lines > FILE_WARNING:
            print(f"warning: {piece.name} has {piece.lines} lines; more than {FILE_WARNING} is hard to read")
    lengths = sorted(piece.lines for piece in pieces if piece.kind == "function")
    if lengths:
        long = sum(length > FUNCTION_GOAL for length in lengths)
        ninth = lengths[len(lengths) * 9 // 10]
        print(f"{len(lengths)} functions, 9 of 10 have at most {ninth} lines, {long} have more than {FUNCTION_GOAL}")


def main() -> int:
    names = {path.relative_to(ROOT).as_posix(): path for path in project_files(".py")}
    pieces = [
        piece
        for name, path in names.items()
        if name not in GENERATED
        for piece in measure(name, path.read_text(encoding="utf-8"))
    ]
    faults = judge(pieces, read_exceptions(EXCEPTIONS.read_text(encoding="utf-8")))
    report(pieces)
    for fault in faults:
        print(f"fault: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
