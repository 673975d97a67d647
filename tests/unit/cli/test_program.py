"""The frame of the command line: the help, profiles, environment variables and words of all commands."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.cells import cell_len
from typer.core import TyperOption
from typer.testing import CliRunner

from rota import events
from rota.cli.frame import PANELS, WITHOUT_VARIABLE, tree
from rota.cli.program import Translating, prepare_warnings, program
from rota.errors import ConfigError
from rota.settings import origin
from rota.settings.origin import without_known_variables
from rota.settings.settings import GROUP_OF
from rota.store import open_store

NAMES = [name for names in PANELS.values() for name in names]
PROFILES = '[prod]\nurl = "redis://127.0.0.1:1/0"\nconfirm = true\n'


@pytest.fixture
def as_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process that runs a command, in a folder of its own."""
    file = tmp_path / "profiles.toml"
    file.write_text(PROFILES)
    monkeypatch.setenv("ROTA_PROFILES_FILE", str(file))
    monkeypatch.delenv("ROTA_PROFILE", raising=False)
    monkeypatch.setattr(origin, "_is_command", True)
    monkeypatch.chdir(tmp_path)
    return file


def paths() -> list[tuple[str, ...]]:
    return [path for path, command in tree(typer.main.get_group(program)) if not command.hidden]


def test_each_command_has_its_place_in_the_help() -> None:
    assert [path for path in paths() if len(path) == 1 and path[0] not in NAMES] == []


def test_help_shows_the_commands_in_the_order_that_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    text = CliRunner().invoke(program, ["--help"]).stdout
    shown = [text.index(f" {title} ─") for title in PANELS]
    assert shown == sorted(shown)
    assert text.index("│ dev ") < text.index("│ worker ") < text.index("│ schedule ") < text.index("│ version ")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [80, 200])
def test_every_help_fits_the_terminal_and_its_boxes_are_straight(
    width: int, language: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROTA_LANG", language)
    monkeypatch.setenv("COLUMNS", str(width))
    group = typer.main.get_group(program)
    crooked: list[str] = []
    for path, command in tree(group):
        if command.hidden:
            continue
        group.main([*path, "--help"], prog_name="rota", standalone_mode=False)
        lines = capsys.readouterr().out.splitlines()
        boxed = {cell_len(line) for line in lines if line[:1] in "╭│╰" and line}
        if len(boxed) != 1 or max(map(cell_len, lines)) > width:
            crooked.append(" ".join(path))
    assert crooked == []


def test_help_of_an_option_is_not_cut_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    monkeypatch.setenv("COLUMNS", "60")
    text = CliRunner().invoke(program, ["schedule", "apply", "--help"]).stdout
    assert "…" not in text
    assert "显示本帮助并退出" in text


def test_every_option_has_an_environment_variable_of_its_own() -> None:
    variables: list[str] = []
    for path, command in tree(typer.main.get_group(program)):
        for option in command.params:
            named = isinstance(option, TyperOption) and path and not option.hidden
            if named and not set(option.opts) & set(WITHOUT_VARIABLE):
                assert isinstance(option.envvar, str), (path, option.opts)
                variables.append(option.envvar)
    settings = {f"ROTA_{name.upper()}" for name in GROUP_OF}
    assert len(variables) == len(set(variables))
    assert set(variables) & settings == set()
    assert without_known_variables(variables) == []
    assert without_known_variables(["ROTA_SCHEDULE_PREVIEW_NUMBRE"]) == ["ROTA_SCHEDULE_PREVIEW_NUMBRE"]
    assert "ROTA_SCHEDULE_PREVIEW_NUMBER" in variables


def test_variable_of_an_option_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    monkeypatch.setenv("ROTA_SCHEDULE_PREVIEW_NUMBER", "0")
    done = CliRunner().invoke(program, ["schedule", "preview", "@hourly"])
    assert done.exit_code == 2
    assert "Invalid value for '--number'" in done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ROTA_SCHEDULE_PREVIEW_NUMBRE", "Did you mean ROTA_SCHEDULE_PREVIEW_NUMBER?"),
        ("ROTA_TASK_LIST_SIEZ", "Did you mean ROTA_TASK_LIST_SIZE?"),
        ("ROTA_TAKS_LIST_SIZE", "Did you mean ROTA_TASK_LIST_SIZE?"),
        ("ROTA_CONCURENCY", "Did you mean ROTA_CONCURRENCY?"),
        ("ROTA_ZZZZZZ", "`rota config` lists the settings."),
    ],
)
def test_misspelt_variable_is_warned_of_once(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    monkeypatch.setenv(name, "2")
    done = CliRunner().invoke(program, ["schedule", "preview", "@hourly"])
    assert done.exit_code == 0
    warning = f"{name} is set, but no setting and no option has this name: it changes nothing. {said}"
    assert done.stderr.count(warning) == 1


@pytest.mark.parametrize("name", ["ROTA_TASK_ID", "ROTA_PORT", "ROTA_SERVICE_HOST", "ROTA_PORT_6379_TCP_ADDR"])
def test_variable_that_rota_or_a_cluster_sets_is_not_warned_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "2")
    assert CliRunner().invoke(program, ["schedule", "preview", "@hourly"]).stderr == ""


def test_variables_that_some_command_reads_are_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROTA_TASK_LIST_SIZE", "ROTA_SCHEDULE_RUN_SHOW_JSON", "ROTA_CONCURRENCY", "ROTA_SCHEDULE_APPLY_PRUNE"):
        monkeypatch.setenv(name, "1")
    assert CliRunner().invoke(program, ["schedule", "preview", "@hourly"]).stderr == ""


def test_help_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    text = " ".join(CliRunner().invoke(program, ["schedule", "apply", "--help"]).stdout.split())
    assert "Each option is an environment variable too: --x is ROTA_SCHEDULE_APPLY_X." in text


@pytest.mark.usefixtures("as_command")
def test_profile_is_an_option_of_each_command_and_ends_with_it() -> None:
    done = CliRunner().invoke(program, ["config", "--changed", "--json", "--profile", "prod"])
    assert done.exit_code == 0, done.output
    assert '"redis://127.0.0.1:1/0"' in done.stdout
    assert '"profile"' in done.stdout
    assert "ROTA_PROFILE" not in os.environ


@pytest.mark.usefixtures("as_command")
def test_profile_can_stand_before_the_command() -> None:
    done = CliRunner().invoke(program, ["--profile", "prod", "config", "--changed", "--json"])
    assert '"redis://127.0.0.1:1/0"' in done.stdout


@pytest.mark.usefixtures("as_command")
def test_unknown_profile_is_refused_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    done = CliRunner().invoke(program, ["types", "--profile", "pro"])
    assert isinstance(done.exception, ConfigError)
    assert "Did you mean 'prod'?" in str(done.exception)


@pytest.mark.usefixtures("as_command")
def test_wrong_setting_of_a_command_names_no_line_of_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_CONCURRENCY", "many")
    done = CliRunner().invoke(program, ["stats"])
    assert isinstance(done.exception, ConfigError)
    assert "(from environment)" in str(done.exception)
    assert ".py:" not in str(done.exception)


async def upgraded(store: str) -> None:
    async with open_store(store):
        pass


@pytest.mark.usefixtures("as_command")
@pytest.mark.parametrize(
    ("answer", "variable", "words", "is_agreed"),
    [
        ("prod\n", None, ["--yes"], True),
        ("y\n", None, [], False),
        ("", None, ["--yes"], False),
        ("", "prod", [], True),
        ("", "other", [], False),
    ],
)
def test_profile_with_confirm_wants_its_name(
    answer: str, variable: str | None, words: list[str], is_agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    monkeypatch.setenv("ROTA_PROFILE", "prod")
    monkeypatch.setenv("ROTA_STORE", "sqlite:///store.db")
    if variable is not None:
        monkeypatch.setenv("ROTA_CONFIRM", variable)
    asyncio.run(upgraded("sqlite:///store.db"))
    done = CliRunner().invoke(program, ["schedule", "hold", *words], input=answer)
    assert ("Nothing was changed." in done.stderr) != is_agreed
    assert (done.exit_code == 0) == is_agreed, done.output


@pytest.mark.usefixtures("as_command")
def test_profiles_are_listed_without_their_passwords(as_command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    as_command.write_text('[prod]\nurl = "redis://anna:secret@host:1/0"\n')
    as_command.chmod(0o644)
    done = CliRunner().invoke(program, ["profiles"])
    assert "redis://***@host:1/0" in done.stdout
    assert "chmod 600" in done.stderr
    assert "secret" not in done.output + CliRunner().invoke(program, ["profiles", "--json"]).output
    as_command.chmod(0o600)
    assert "chmod" not in CliRunner().invoke(program, ["profiles"]).stderr


@pytest.mark.usefixtures("as_command")
def test_without_profiles_the_command_shows_how_to_write_one(as_command: Path) -> None:
    as_command.write_text("")
    done = CliRunner().invoke(program, ["profiles"])
    assert done.stdout == ""
    assert "confirm = true" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "没有这个命令"),
        (["schedule", "list", "--nonsense"], "没有这个选项"),
        (["schedule", "show"], "缺少参数"),
    ],
)
def test_wrong_words_are_explained_in_the_language_of_the_locale(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    done = CliRunner().invoke(program, words)
    assert done.exit_code == 2
    assert told in done.stderr


def test_command_does_not_import_the_others() -> None:
    read = "import sys; from rota.cli.program import program; from typer.testing import CliRunner as R; "
    run = 'R().invoke(program, ["version"]); print([name for name in sys.modules if name.startswith("rota.cli.")])'
    found = subprocess.run([sys.executable, "-c", read + run], capture_output=True, text=True, check=True).stdout
    assert "rota.cli.version" in found
    assert "rota.cli.doctor" not in found
    assert "rota.cli.task" not in found


def test_unknown_command_is_refused_with_the_nearest_name() -> None:
    done = CliRunner().invoke(program, ["schedul", "list"])
    assert done.exit_code == 2
    assert "'schedule'" in done.stderr


def test_usage_and_warnings_are_in_the_language_of_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    done = subprocess.run([sys.executable, "-m", "rota.cli", "task", "why"], capture_output=True, text=True)
    assert "用法：rota task why" in done.stderr
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler())
    monkeypatch.setenv("_ROTA_COMPLETE", "complete_bash")
    prepare_warnings()
    assert logging.lastResort is not None
    assert logging.lastResort.level > logging.CRITICAL
    warning = logging.LogRecord("rota", logging.WARNING, "", 0, events.DevServerUsed.text, None, None)
    assert Translating().format(warning).startswith("使用本目录中 `rota dev` 的服务器。")
