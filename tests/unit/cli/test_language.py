"""The catalogue of translations: how a text is found in it, and that every text of the code is in it."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import typer

import rota
from rota.cli import language
from rota.cli.frame import PANELS, tree
from rota.cli.language import CATALOGUE, Catalogue, translated, translated_help, translated_title
from rota.cli.program import program
from rota.cli.task import many
from rota.inspect import judgement
from rota.settings.settings import Settings

PACKAGE = Path(rota.__file__).parent
SOURCES = sorted((PACKAGE / "cli").rglob("*.py"))
ROOMS = (
    *("broker", "client", "core", "cron", "health", "inspect", "schedule", "scheduler", "settings", "store"),
    *("supervisor", "tasks", "wire", "worker"),
)
"""The packages whose errors meet those who type commands: no connection, a wrong setting, a wrong task."""
IN_PARTS = {"query_parser.py", "waiting_words.py"}
"""Modules that put their texts together, with tests of their own (`test_inspect_output`)."""
PRINTS = {"say", "note", "warn", "fail", "agreed", "guard", "progress", "translated", "heading"}
NOT_WORDS = re.compile(r"[\s{}\W\d_]*")


@pytest.fixture
def small(tmp_path: Path) -> Catalogue:
    path = tmp_path / "zh.toml"
    path.write_text(
        '[titles]\nqueue = "队列"\n[nouns]\n"{} tasks" = "{} 个任务"\n[texts]\n"Nothing." = "没有。"\n'
        '"{} of {}" = "{1} 中的 {0}"\n"Deleted all {}. {}" = "已全部删除 {}。{}"\n"Did you mean {}?" = "是 {} 吗？"\n'
    )
    return Catalogue.read(path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Nothing.", "没有。"),
        ("3 tasks", "3 个任务"),
        ("1 of 2", "2 中的 1"),
        ("Deleted all 3 tasks. Did you mean 'a'?", "已全部删除 3 个任务。是 'a' 吗？"),
        ("Deleted all queue. x", "已全部删除 queue。x"),
        ("unknown words", "unknown words"),
        ("All the tasks", "All the tasks"),
        ("1,200 tasks", "1,200 个任务"),
    ],
)
def test_text_is_found_with_its_values(small: Catalogue, text: str, wanted: str) -> None:
    assert small.translate(text) == wanted


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LC_ALL": "zh_CN", "ROTA_LANG": "en"}, "en"),
        ({"LC_ALL": "", "LANG": "zh"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_language_is_that_of_the_locale(
    variables: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ROTA_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language.language() == wanted


def test_english_is_never_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    assert translated("Nothing was changed.") == "Nothing was changed."
    assert translated_title("queue") == "queue"


def test_placeholders_agree_in_both_languages() -> None:
    wrong: list[str] = []
    catalogue = Catalogue.read(CATALOGUE)
    for key, text in catalogue.texts.items():
        number = key.count("{}")
        try:
            text.format(*range(number))
        except (IndexError, ValueError, KeyError) as error:
            wrong.append(f"{key}: {error}")
        if number and not all(f"<{each}>" in text.format(*(f"<{n}>" for n in range(number))) for each in range(number)):
            wrong.append(f"{key}: a value is missing")
    assert wrong == []


def test_every_text_of_the_commands_has_a_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    refuse_untranslated(text for path in SOURCES for text in texts_of(path) if translated(text) == text)


def test_every_error_that_a_command_can_meet_has_a_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    paths = [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py")) if path.name not in IN_PARTS]
    found = [text for path in paths for text in texts_of(path) if " " in text.strip()]
    refuse_untranslated(
        (text for text in found if all(translated(t) == t for t in (text, text.strip()))), table="errors"
    )


def test_each_act_on_tasks_has_its_texts_and_their_translations(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = get_args(many.ActName)
    assert set(many._DONE) == set(acts), "Give each act of `ActName` (rota/cli/task/many.py) its text in `_DONE`."
    monkeypatch.setenv("ROTA_LANG", "zh")
    texts = set(acts) | {text.format("9") for text in (*many._DONE.values(), *many._ASKED.values())}
    texts |= {many._asked(act, "9", False) for act in acts}
    refuse_untranslated(text for text in texts if translated(text) == text)


def test_each_refusal_of_an_act_on_tasks_has_a_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rota.client.verbs` puts the sentence together, and each act has the end of it."""
    monkeypatch.setenv("ROTA_LANG", "zh")
    paths = [path for room in ("client", "inspect") for path in sorted((PACKAGE / room).rglob("*.py"))]
    ends = [end for path in paths for end in constants_of(path) if re.match("can't [a-z]", end)]
    assert "can't be made to run now" in ends
    texts = [f"Task 9 in queue 9 is 9, so it {end}." for end in ends]
    refuse_untranslated((text for text in texts if translated(text) == text), table="errors")


def test_no_translation_is_half_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    four_words = re.compile(r"(?<![\w`'.-])(?:[a-z]{2,} ){3}[a-z]{2,}")
    paths = [path for room in (*ROOMS, "cli") for path in sorted((PACKAGE / room).rglob("*.py"))]
    found = {(path.name, translated(text)) for path in paths if path.name not in IN_PARTS for text in texts_of(path)}
    is_chinese = re.compile("[\u4e00-\u9fff]")
    quoted = re.compile("`[^`]*`|'[^']*'")
    assert [
        each for each in sorted(found) if is_chinese.search(each[1]) and four_words.search(quoted.sub("", each[1]))
    ] == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "The schedule 'a' is wrong: Schedule '0 9 31 2 *', character 1: this never fires: such a day does not "
            "exist, or not within eight years. Check the day and the month.",
            "调度 'a' 有误：'0 9 31 2 *' 的第 1 个字符：永不触发：没有这样的日子，或八年内没有。请检查日和月。",
        ),
        (
            "'nonsense' is not known. Write for example 'every day at 02:30' or '30 2 * * *'.",
            "'nonsense' 无法识别。例如可写 'every day at 02:30' 或 '30 2 * * *'。",
        ),
        ("overlap is 'maybe'. It must be one of: skip, allow.", "overlap 为 'maybe'。须为其一：skip, allow。"),
        ("overlap is skip, and run 7 is running", "overlap 为 skip，且运行 7 正在运行"),
        (
            "The store /rota.db is read-only. Name a database that can be written to in ROTA_STORE, or grant the right "
            "to write.",
            "存储 /rota.db 是只读的。请在 ROTA_STORE 中指定可写的数据库，或授予写权限。",
        ),
        (
            "A store needs alembic, not installed here: pip install 'rota[store]'",
            "存储需要 alembic，此处未安装：pip install 'rota[store]'",
        ),
        (
            "The schedule 'a' is wrong: overlap is 'maybe'. It must be one of: skip, allow.",
            "调度 'a' 有误：overlap 为 'maybe'。须为其一：skip, allow。",
        ),
        (
            "The schedule 'a' is wrong: timezone is 'Asia/Shangai', which is not a time zone. Did you mean "
            "'Asia/Shanghai'?",
            "调度 'a' 有误：timezone 为 'Asia/Shangai'，不是时区。你是想用 'Asia/Shanghai' 吗？",
        ),
        (
            "--state is 'b'. Known: deleted, running, scheduled, waiting.",
            "--state 的值是 'b'。可选：deleted, running, scheduled, waiting。",
        ),
        (
            "--within is '1x', which is not a duration: write numbers with the units w, d, h, m, s, ms or us, as in "
            "'1h30m'.",
            "--within 为 '1x'，不是时长：请写数字加单位 w、d、h、m、s、ms 或 us，如 '1h30m'。",
        ),
        (
            "Queue 'a' took no task: it is paused for producers since 2026-01-31 18:00:05 UTC by anna (sale). Enqueue "
            "again later, or resume it: rota queue resume a",
            "队列 'a' 不接受任务：它已对生产者暂停（自 2026-01-31 18:00:05 UTC 起，操作人 anna，原因：sale）。"
            "请稍后再入队，或恢复它：rota queue resume a",
        ),
        ("/a.yaml cannot be read: No such file or directory.", "/a.yaml 无法读取：没有这个文件或目录。"),
        (
            "a.yaml: 'x' is not a file of schedules: it needs a list `schedules`.",
            "a.yaml：'x' 不是调度文件：需要列表 `schedules`。",
        ),
        (
            "Queue workers is paused for workers and producers (sale).",
            "队列 workers 已对 worker 和生产者暂停（sale）。",
        ),
        ("No such option: --in (Possible options: --json)", "没有这个选项：--in（相近的选项：--json）"),
    ],
)
def test_error_that_is_put_together_of_parts_is_translated_as_a_whole(
    text: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    assert translated(text) == wanted


def test_every_fact_about_the_server_has_a_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    refuse_untranslated((text for text in facts() if translated(text) == text), table="facts")


def test_every_finding_of_the_doctor_has_a_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    folder = PACKAGE / "inspect" / "doctor"
    texts = {text for path in sorted(folder.glob("*.py")) for text in texts_of(path) if " " in text}
    refuse_untranslated((text for text in texts if translated(text) == text), table="doctor")


def test_text_of_several_sentences_is_translated_sentence_by_sentence(small: Catalogue) -> None:
    assert small.translate("Nothing. Did you mean 'a'?") == "没有。是 'a' 吗？"
    assert small.translate("Nothing. Unknown words.") == "没有。Unknown words."


def test_every_help_text_has_a_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "en")
    helps = list(help_texts())
    monkeypatch.setenv("ROTA_LANG", "zh")
    refuse_untranslated((text for text in helps if translated_help(text) == text), table="help")


def test_purpose_of_every_setting_has_a_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    abouts = [row.about for row in Settings().table()]
    refuse_untranslated((about for about in abouts if translated_help(about) == about), table="settings")


def test_every_title_has_a_translation() -> None:
    titles = {title for path in SOURCES for title in titles_of(path)} | set(PANELS)
    known = Catalogue.read(CATALOGUE).titles
    refuse_untranslated((title for title in titles if title and title not in known), table="titles")


def refuse_untranslated(texts: Iterable[str], table: str = "texts") -> None:
    """Fail if there is a text without a translation, and name each of them."""
    missing = sorted(set(texts))
    advice = f"Add these to [{table}] in rota/cli/zh.toml, each with its Chinese and with {{}} in place of a 9:"
    assert not missing, "\n".join((advice, *missing))


def facts() -> Iterator[str]:
    """Yield the sentences in which the read model judges a server."""
    for node in ast.walk(ast.parse(Path(judgement.__file__).read_text())):
        match node:
            case ast.Call(func=ast.Name(id="Fact"), args=[_, _, what, *_]) if template(what):
                text = f"{template(what)}."
                if not NOT_WORDS.fullmatch(text):
                    yield text
    for node in ast.walk(ast.parse(Path(judgement.__file__).read_text())):
        docstring = ("Judge", "Order", "Return", "One ", "`code` ", "Each ")
        match node:
            case ast.Constant(value=str() as text) if is_sentence(text) and not text.startswith(docstring):
                yield text


def help_texts() -> Iterator[str]:
    """Yield the help of each command and each option, paragraph by paragraph."""
    for _, command in tree(typer.main.get_group(program)):
        texts = [command.help, command.epilog, *(getattr(each, "help", None) for each in command.params)]
        for text in texts:
            for paragraph in (text or "").split("\n\n"):
                if paragraph.strip() and not NOT_WORDS.fullmatch(paragraph):
                    yield paragraph


@cache
def texts_of(path: Path) -> tuple[str, ...]:
    """Return the sentences in the code of a module, and what it prints, with the number 9 for values."""
    return tuple(_texts(path))


def _texts(path: Path) -> Iterator[str]:
    module = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    helps = {id(each) for node in ast.walk(module) if isinstance(node, ast.keyword) and node.arg == "help"
             for each in ast.walk(node)}  # fmt: skip
    parts = {id(each) for node in ast.walk(module) if isinstance(node, ast.JoinedStr) for each in node.values}
    printed: set[int] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in PRINTS:
            printed |= {id(each) for argument in node.args[:1] for each in literals(argument)}
    for node in ast.walk(module):
        if id(node) in docstrings | helps | parts:
            continue
        text = template(node)
        if text is not None and (id(node) in printed or is_sentence(text)):
            for line in text.split("\n"):
                if line and not NOT_WORDS.fullmatch(line):
                    yield line


def constants_of(path: Path) -> Iterator[str]:
    """Yield all texts of a module, of whatever kind."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Constant(value=str() as text):
                yield text


def literals(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the texts that an expression may be."""
    match node:
        case ast.Constant() | ast.JoinedStr():
            yield node
        case ast.IfExp():
            yield from (*literals(node.body), *literals(node.orelse))


def template(node: ast.AST) -> str | None:
    """Return the text of a literal, with a number in the place of each value."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr():
            return "".join(each.value if isinstance(each, ast.Constant) else "9" for each in node.values)
    return None


def is_sentence(text: str) -> bool:
    """Return whether a text is for people: words that begin with a capital letter or a value and end with a mark."""
    return bool(re.match(r"9 |[A-Z`-]", text)) and " " in text.strip() and text.rstrip()[-1:] in ".?:!"


def titles_of(path: Path) -> Iterator[str]:
    """Yield the titles of columns and fields."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("Column", "print_section"):
            match node.args:
                case [ast.Constant(value=str() as title), *_]:
                    yield title
