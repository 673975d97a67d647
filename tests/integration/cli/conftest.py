"""`rota` in this process, in a folder and on an SQLite store of its own for each test."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich import _wrap
from typer.testing import CliRunner

from rota.broker import dev_server
from rota.cli.output import explain
from rota.cli.program import program
from rota.errors import RotaError
from tests.modules import own_modules


@dataclass(frozen=True)
class Done:
    """What a command has printed, and its exit code. `out` is standard output, `err` standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output of `--json`."""
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `rota ...` in `tmp_path`, without the start of a process. `typed` is what the user types."""
    monkeypatch.setenv("ROTA_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("USER", "anna")
    monkeypatch.setenv("LOGNAME", "anna")
    monkeypatch.chdir(tmp_path)
    # A command in Chinese sets the first for its whole process, and `rota dev` the second.
    monkeypatch.setattr(_wrap, "re_word", _wrap.re_word)
    monkeypatch.setattr(dev_server, "_silent", dev_server._silent)

    def run(*words: str, typed: str = "") -> Done:
        with own_modules(tmp_path):
            result = CliRunner().invoke(program, words, input=typed)
        if isinstance(result.exception, RotaError):
            capsys.readouterr()
            code = explain(result.exception)
            return Done(code, result.stdout, result.stderr + capsys.readouterr().err)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run
