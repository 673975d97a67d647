"""The printing that all commands share: what a terminal, a pipe and a program get."""

import asyncio
import io
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rota.cli import output, questions
from rota.cli.output import Column


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


COLUMNS = (Column("queue"), Column("pending", right=True), Column("memory", optional=True), Column("why", folds=True))
ROWS = [("default", "12", "1.5 MB", "x" * 40), ("邮件队列", "3", "20 kB", "短")]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def printed_at(width: int, monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> str:
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(*arguments)
    return stream.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")


def test_table_in_a_pipe_is_aligned_by_cells_and_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "queue     pending  memory  why",
        f"default        12  1.5 MB  {'x' * 40}",
        "邮件队列        3  20 kB   短",
    ]


def test_table_leaves_out_an_optional_column_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, narrow = (printed_at(width, monkeypatch, COLUMNS, ROWS) for width in (80, 36))
    assert "memory" in wide
    assert "memory" not in narrow
    assert "pending" in narrow


def test_table_folds_a_column_and_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed_at(36, monkeypatch, COLUMNS, ROWS).splitlines()
    assert max(map(len, lines)) <= 36
    assert "".join(line[18:].strip() for line in lines[1:]).count("x") == 40


def test_column_that_does_not_fold_is_whole_while_others_can_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("id"), Column("type", folds=True), Column("when"))
    task_id = "0d3c1c0e-7a5e-4a39-8a39-4d3a2e6f5b01"
    text = printed_at(62, monkeypatch, columns, [(task_id, "x" * 30, "17m 28s ago")])
    assert task_id in text
    assert "17m 28s ago" in text
    assert text.count("x") == 30


@pytest.mark.parametrize("width", range(79, 84))
def test_table_that_just_fits_loses_no_letter(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("a", folds=True), Column("b"), Column("c", folds=True), Column("d"), Column("e", folds=True))
    text = printed_at(width, monkeypatch, columns, [("x" * 30, "1m 4s", "y" * 13, "u" * 36, "z" * 15)])
    assert max(map(len, text.splitlines())) <= width
    assert [text.count(letter) for letter in "xyuz"] == [30, 13, 36, 15]


def test_columns_of_text_fold_where_a_table_would_lose_its_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("id"), Column("size", right=True), Column("state"), Column("why", folds=True))
    text = printed_at(40, monkeypatch, columns, [("y" * 36, "1,200", "pending", "because")])
    assert max(map(len, text.splitlines())) <= 40
    assert text.count("y") - text.count("why") == 36
    assert all(word in text for word in ("1,200", "pending", "because"))


def test_table_whose_numbers_are_wider_than_the_terminal_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed_at(20, monkeypatch, (Column("size", right=True), Column("state")), [("1" * 36, "pending")])
    assert max(map(len, text.splitlines())) <= 20


def test_table_without_rows_prints_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(COLUMNS, [])
    assert capsys.readouterr().out == "queue  pending  memory  why\n"


def test_cell_with_a_control_sequence_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table([Column("type")], [["a\x1b[2J\nb"]])
    assert capsys.readouterr().out == "type\na\\x1b[2J\\nb\n"


def test_fields_are_aligned_with_double_width_names(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_fields({"queue": "default", "状态": "paused"})
    assert capsys.readouterr().out == "queue  default\n状态   paused\n"


def test_notes_and_warnings_and_errors_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("result")
    output.note("remark")
    output.warn("[careful]")
    output.fail("broken\nhere")
    captured = capsys.readouterr()
    assert captured.out == "result\n"
    assert captured.err == "remark\nwarning [careful]\nerror broken\nhere\n"


def test_json_has_durations_in_seconds_and_times_in_iso_8601(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"at": datetime(2026, 1, 2, tzinfo=UTC), "age": timedelta(milliseconds=1500), "name": "邮件"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"at": "2026-01-02T00:00:00Z", "age": 1.5, "name": "邮件"}
    assert "邮件" in text


@pytest.mark.parametrize(
    ("typed", "yes", "code", "told"),
    [
        ("y\n", False, 0, "Delete 3 tasks?"),
        ("n\n", False, 1, "Nothing was changed."),
        ("", False, 1, "--yes answers the question"),
        ("", True, 0, ""),
    ],
)
def test_question_is_answered_by_a_person_or_by_yes(typed: str, yes: bool, code: int, told: str) -> None:
    program = typer.Typer()

    @program.command()
    def ask() -> None:
        raise typer.Exit(0 if questions.agreed("Delete 3 tasks?", yes=yes) else 1)

    done = CliRunner().invoke(program, [], input=typed)
    assert done.exit_code == code
    assert told in done.stderr


@pytest.mark.parametrize(
    ("typed", "is_agreed"), [("是\n", True), ("YES\n", True), ("否\n", False), ("\n", False), ("maybe\ny\n", True)]
)
def test_question_takes_a_chinese_answer_and_asks_again_after_another_word(
    typed: str, is_agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    program = typer.Typer()

    @program.command()
    def ask() -> None:
        raise typer.Exit(0 if questions.agreed("Delete 3 tasks?", yes=False) else 1)

    done = CliRunner().invoke(program, [], input=typed)
    assert done.exit_code == (0 if is_agreed else 1)
    assert ("请回答 y（是）或 n（否）。" in done.stderr) == ("maybe" in typed)


def test_interrupt_ends_a_command_at_its_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(prompt: str) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        return "y"

    async def command() -> None:
        questions.agreed("Delete 3 tasks?", yes=False)

    monkeypatch.setenv("ROTA_LANG", "en")
    monkeypatch.setattr(sys.modules[typer.prompt.__module__], "visible_prompt_func", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(command())
    assert capsys.readouterr().err.endswith("\nNothing was changed.\n")


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("Scanning", 10) as done:
        done(10)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_numbers_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with output.progress("Scanning", 10) as done:
        done(7)
    assert "Scanning" in stream.getvalue()
    assert "7/10" in stream.getvalue()


@pytest.mark.parametrize(
    ("value", "most", "shown"),
    [(0, 10, ""), (10, 10, "████"), (5, 10, "██"), (0.001, 10, "▏"), (20, 10, "████"), (1, 0, ""), (3, 8, "█▌")],
)
def test_bar_is_as_long_as_its_share(value: float, most: float, shown: str) -> None:
    assert output.bar(value, most, 4) == shown


def test_relative_time_has_one_or_two_units() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    moment = now - timedelta(minutes=17, seconds=28)
    assert output.relative(moment, now) == "17m 28s ago"
    assert output.relative(moment, now, units=1) == "17m ago"
    assert output.relative(now, now) == "now"


def test_sparkline_has_one_character_for_each_value() -> None:
    assert output.sparkline([0, 7, None, 3.5]) == "▁█ ▅"
    assert output.sparkline([0, 0]) == "▁▁"
    assert output.sparkline([]) == ""
