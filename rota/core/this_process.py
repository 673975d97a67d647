"""The version of Rota that a program runs, and the memory of its processes."""

import os
from functools import cache
from pathlib import Path


@cache
def rota_version() -> str:
    """Return the version of the installed package; empty if Rota runs from files that are not installed."""
    from importlib.metadata import PackageNotFoundError, version  # a supervisor has no use for it

    try:
        return version("rota")
    except PackageNotFoundError:
        return ""


def resident_bytes(pid: int) -> int | None:
    """Return the resident memory of a process; None if the system does not show it (only Linux does, in /proc)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
