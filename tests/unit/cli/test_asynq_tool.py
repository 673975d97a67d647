"""Every command and flag that the help of Asynq's tool shows is understood, and is in the table of the docs."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperCommand

from rota.cli.asynq_words import rota_words
from rota.cli.frame import tree
from rota.cli.program import program
from scripts.tree import ROOT

TOOL: dict[str, Any] = json.loads((ROOT / "tests" / "interop" / "asynq_tool.json").read_text())
PAGE = (ROOT / "docs" / "asynq-cli.md").read_text()
SWITCHES = {"--force", "--json", "--cluster", "--tls", "--insecure"}


@pytest.fixture(scope="module")
def declared() -> dict[tuple[str, ...], set[str]]:
    return {
        path: {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
        for path, command in tree(typer.main.get_group(program))
        if isinstance(command, TyperCommand)
    }


@pytest.mark.parametrize("command", TOOL["commands"])
def test_command_of_asynq_is_a_command_here_with_all_its_flags(
    command: str, declared: dict[tuple[str, ...], set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1").write_text("tls: true\n")  # the file of --config
    flags = [*TOOL["commands"][command], *TOOL["flags"]]
    typed = [*command.split(), *(word for flag in flags for word in ([flag] if flag in SWITCHES else [flag, "1"]))]

    meant, variables = rota_words(typed, lambda path: declared.get(tuple(path)))

    path = tuple(meant[:2]) if tuple(meant[:2]) in declared else tuple(meant[:1])
    assert path in declared
    assert variables == {"ROTA_TLS_VERIFY": "false", "ROTA_TLS_SERVER_NAME": "1"}
    assert [word for word in meant if word.startswith("--") and word not in declared[path]] == []


@pytest.mark.parametrize("command", TOOL["commands"])
def test_command_of_asynq_is_in_the_docs_with_its_flags(command: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{command}`")]
    assert rows, command
    assert [flag for flag in TOOL["commands"][command] if not any(f"`{flag}`" in row for row in rows)] == []


@pytest.mark.parametrize("flag", TOOL["flags"])
def test_flag_for_the_server_is_in_the_docs(flag: str) -> None:
    assert f"`{flag}`" in PAGE
