"""A sign of life: when it was due, how late it came, how much of the disk is free."""

import shutil
from datetime import UTC, datetime
from pathlib import Path


def beat(due: datetime, diary: Path) -> float:
    """Append a line to the diary, and return how many seconds after its time it came."""
    late = (datetime.now(UTC) - due).total_seconds()
    diary.parent.mkdir(parents=True, exist_ok=True)
    with diary.open("a", encoding="utf-8") as file:
        file.write(f"{due.isoformat()},{late:.3f},{shutil.disk_usage(diary.parent).free}\n")
    return late
