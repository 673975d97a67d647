"""How much memory a process has."""

import os
from pathlib import Path


def resident_bytes(pid: int) -> int | None:
    """Return the resident memory of a process; None where the system does not show it (only Linux does, in /proc)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
