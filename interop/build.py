"""Builds the Go programs into `interop/bin`. Run it as `python -m interop.build`."""

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = HERE / "bin"
OWN_GO = HERE.parent / ".tools" / "go" / "bin"
"""Where scripts/install-go puts Go on a machine that has none."""


class GoMissing(RuntimeError):
    """There is no Go toolchain on this machine, so nothing here can be built."""


@cache
def binaries() -> Path:
    """Build what has changed and return the folder of the programs; a second run costs Go half a second."""
    go_build(HERE, f"{BIN}{os.sep}", "./cmd/...")
    return BIN


def go_build(folder: Path, output: Path | str, packages: str) -> None:
    """Build packages with the module of a folder, whose `go.sum` pins all that they need."""
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}{os.pathsep}{OWN_GO}")
    if go is None:
        raise GoMissing("no `go` command found: scripts/install-go installs it for this project alone")
    BIN.mkdir(exist_ok=True)
    with (BIN / ".lock").open("w") as lock:  # test processes that start together must not link over each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [go, "build", "-o", output, packages], cwd=folder, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"go build failed in {folder}:\n{done.stderr}")


if __name__ == "__main__":
    binaries()
