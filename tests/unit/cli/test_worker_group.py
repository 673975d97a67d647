"""Which words of `rota worker` run a worker, and which name another command."""

import pytest
from typer.core import TyperGroup
from typer.main import get_group
from typer.testing import CliRunner

from rota.cli import worker_group
from rota.cli.program import program


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], ["run"]),
        (["shop:app"], ["run", "shop:app"]),
        (["shop:app", "--processes", "4"], ["run", "shop:app", "--processes", "4"]),
        (["--processes", "4"], ["run", "--processes", "4"]),
        (["list:app"], ["run", "list:app"]),
        (["run", "list"], ["run", "list"]),
        (["list"], ["list"]),
        (["stop", "--all"], ["stop", "--all"]),
        (["scale", "5", "web1"], ["scale", "5", "web1"]),
        (["--help"], ["--help"]),
    ],
)
def test_first_word_is_a_command_only_if_it_is_the_name_of_one(
    words: list[str], meant: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def note(group: object, ctx: object, args: list[str]) -> list[str]:
        seen.append(args)
        return args

    monkeypatch.setattr(TyperGroup, "parse_args", note)
    group = get_group(worker_group.program)
    group.parse_args(None, words)  # type: ignore[arg-type]
    assert seen == [meant]


def test_help_of_the_group_and_of_run_are_two_pages() -> None:
    group = CliRunner().invoke(program, ["worker", "--help"]).stdout
    run = CliRunner().invoke(program, ["worker", "run", "--help"]).stdout
    for word in ("run", "list", "quiet", "wake", "stop", "scale"):
        assert f" {word} " in group
    assert "--processes" in run
    assert "--processes" not in group
