"""Where lines of Chinese text are broken."""

import os
import subprocess
import sys

import pytest
from rich import _wrap

from rota.cli import output
from rota.cli.language import WORD
from tests.unit.cli.snapshot import printed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("worker 已停止。", ["worker ", "已", "停", "止。"]),
        ("打印 shell 的脚本", ["打", "印 ", "shell ", "的", "脚", "本"]),
        ("（如 a），b", ["（如 ", "a），", "b"]),
        ("a 。（", ["a ", "。", "（"]),
        ("write 30s, 5m", ["write ", "30s, ", "5m"]),
        ("", []),
    ],
)
def test_words_stay_whole_and_marks_stay_behind_their_character(text: str, words: list[str]) -> None:
    assert [found[0] for found in WORD.finditer(text)] == words
    assert "".join(words) == text


def test_help_in_chinese_fills_its_lines() -> None:
    environment = os.environ | {"ROTA_LANG": "zh", "COLUMNS": "80"}
    command = [sys.executable, "-m", "rota.cli", "schedule", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert "停止调度，直到再次启动。--all 则全局挂起。进行中的运行" in done.stdout


def test_english_output_is_printed_as_before_a_command_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    def show() -> None:
        output.print_table([output.Column("error", folds=True)], [["x" * 60 + " 每日备份数据库每日备份数据库"]])

    expected = printed(show, 80, "en", monkeypatch)
    monkeypatch.setattr(_wrap, "re_word", WORD)

    assert printed(show, 80, "en", monkeypatch) == expected
