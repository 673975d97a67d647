"""Reads a file of lines that a program may still be writing."""

from pathlib import Path


def whole_lines(file: Path) -> list[str]:
    """Return the lines without their ends. The last one is left out while its end is missing: it may be half written.

    A write of a single line can be seen in two parts, where the line crosses a page of memory.
    """
    return [line[:-1] for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
