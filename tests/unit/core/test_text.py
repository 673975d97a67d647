"""Plurals and full stops of texts that are put together."""

import re

import pytest

from rota.broker.failure import of_reply
from rota.broker.url import Endpoint
from rota.core.text import counted, unstopped
from scripts.tree import ROOT, project_files


@pytest.mark.parametrize(("number", "text"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks")])
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert counted(number, "task") == text


def test_an_irregular_plural_can_be_given() -> None:
    assert [counted(number, "process", "processes") for number in (1, 2)] == ["1 process", "2 processes"]


def test_a_full_stop_at_the_end_is_left_out_once() -> None:
    assert unstopped("Gone.\n") == "Gone"
    assert unstopped(ValueError("no.")) == "no"


def test_an_error_of_the_server_with_a_full_stop_gets_no_second_one() -> None:
    error = of_reply(Exception("ERR unknown command 'EVAL'."), [b"EVAL"], Endpoint())

    assert ".." not in str(error)


NOUNS = (
    "tasks queues servers processes workers attempts requests schedules runs files keys entries faults errors groups "
    "edits versions rows calendars slots lines items failures types locks nodes"
)
NEVER_ONE = {
    "{len(snapshot.versions)} versions",  # said of several only
    "{more} more types",
    "{named} tasks",  # a state
    "{signature.name} runs",
    "{most} processes",
    "{MOST_SEARCHED:,} tasks",
    "{DEEPEST} schedules",
    "{len(items)} items",  # more than the most
}


def test_no_text_of_the_package_writes_a_number_before_a_bare_plural() -> None:
    """`{number} tasks` is wrong for one: `counted` writes both. "3 of 5 tasks" is right for each number."""
    number = r"(?<!of )(?:%[ds]|\{(?!counted\()[^{}\"]*\})"
    bare = re.compile(
        r"(?:%d|\{len\([^{}]*\)\}) (?:more )?(?:\w+ )?"
        r"(?:tasks|queues|servers|processes|workers|attempts|requests)\b"
        rf"|{number} (?:more |other )?(?:{'|'.join(NOUNS.split())})\b"
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in project_files(".py")
        if path.is_relative_to(ROOT / "rota")
        for line in path.read_text(encoding="utf-8").splitlines()
        for match in bare.finditer(line)
        if match[0] not in NEVER_ONE and not line.lstrip().startswith(("#", '"""'))
    ]

    assert found == []
