"""Which files belong to the project: what Git tracks, and what it would track."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def project_files(suffix: str) -> list[Path]:
    """Return every file with this suffix, sorted, without what `.gitignore` names."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", f"*{suffix}"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = (ROOT / line for line in sorted(set(listing.stdout.splitlines())))
    return [path for path in paths if path.exists()]  # a deleted file is still tracked until its commit
