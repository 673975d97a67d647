"""A Ctrl-C while the command line is still being imported."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTED = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""


@pytest.mark.parametrize("command", [("-m", "rota.cli", "config"), ("-c", "from rota.cli import main; main()")])
def test_ctrl_c_during_the_imports_prints_no_traceback(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "typer.py").write_text(INTERRUPTED)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
    run = subprocess.run(
        [sys.executable, *command], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )
    assert run.stderr == ""
    assert run.returncode == -signal.SIGINT
