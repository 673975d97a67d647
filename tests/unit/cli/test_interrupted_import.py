"""The imports of a command: a Ctrl-C meanwhile, and the garbage collector."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rota.cli import importing
from rota.supervisor.kind import program

INTERRUPTED = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""


COMMANDS = [("-m", "rota.cli", "config"), ("-c", "from rota.cli import main; main()"), program("rota.cli.child")[1:]]


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_during_the_imports_prints_no_traceback(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "typer.py").write_text(INTERRUPTED)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
    run = subprocess.run(
        [sys.executable, *command], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )
    assert run.stderr == ""
    assert run.returncode == -signal.SIGINT


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_collector_rests_during_imports_and_is_as_it_was_after_them(collects: bool) -> None:
    if not collects:
        gc.disable()
    try:
        with importing():
            assert not gc.isenabled()
        assert gc.isenabled() == collects
    finally:
        gc.enable()
