"""Installs what the benchmark compares Rota with: the Python peers in `benchmarks/.venv`, and Go where there is none.

The peers live apart because what they depend on clashes with what Rota depends on. `.venv` is made again when Python or
`constraints.txt` has changed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".venv"
CONSTRAINTS = HERE / "constraints.txt"
INSTALL_GO = HERE.parent / "scripts" / "install-go"
_SECONDS = 1200


class InstallFailed(Exception):
    """Something could not be installed; the text says what the installer said last."""


def install_peers(environment: Path = ENVIRONMENT, constraints: Path = CONSTRAINTS) -> None:
    """Make the peers' environment unless it is there and up to date. Raises InstallFailed."""
    note = environment / "installed.txt"
    wanted = f"{sys.version}\n{constraints.read_text()}"
    if note.exists() and note.read_text() == wanted:
        return
    print(f"Installing the Python peers in {environment}: about a minute", file=sys.stderr)
    shutil.rmtree(environment, ignore_errors=True)
    _run(sys.executable, "-m", "venv", "--without-pip", environment)  # ours serves it too, and a second one takes long
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "--disable-pip-version-check")
    _run(*pip, "install", "--quiet", "--requirement", constraints)
    note.write_text(wanted)


def go_command() -> str:
    """Return the Go command, which is installed in `.tools/go` if this machine has none. Raises InstallFailed."""
    return _run(INSTALL_GO).strip().splitlines()[-1]


def _run(*command: str | Path) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallFailed(str(error)) from error
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise InstallFailed(said.splitlines()[-1])
    return done.stdout
