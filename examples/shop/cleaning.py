"""Files that nobody needs any more."""

import time
from datetime import timedelta
from pathlib import Path


def clean(folder: Path, pattern: str, older_than: timedelta) -> list[str]:
    """Remove the files of a folder that match and have not been changed for so long; return their names."""
    oldest = time.time() - older_than.total_seconds()
    removed: list[str] = []
    for path in sorted(folder.glob(pattern)):
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            removed.append(path.name)
    return removed
