"""The measures of the code, on texts whose answer is known. The traced rows are measured by `make check`."""

from collections.abc import Callable

import pytest

from rota.core import duration
from scripts import measure_house
from scripts.measure_house import (
    Row,
    calls_by_file,
    comment_share,
    constructor_parameters,
    function_lengths,
    names_of_two_things,
    scripts_that_end_tasks,
)


def test_names_of_two_things_are_classes_and_modules_alike() -> None:
    sources = {"rota.a.place": "class Sweep: ...", "rota.b.place": "class Sweep: ...\nclass Only: ...", "rota.c": ""}
    assert names_of_two_things(sources) == ["Sweep", "place"]


def test_packages_and_programs_are_no_second_meaning() -> None:
    assert names_of_two_things({"rota.a.__init__": "", "rota.b.__init__": "", "rota.a.__main__": ""}) == []


def test_constructor_parameters_counts_keywords_and_not_self() -> None:
    source = "class A:\n    def __init__(self, a, b, *, c): ...\nclass B:\n    def __init__(self): ...\n"
    assert constructor_parameters([source]) == 3


@pytest.mark.parametrize(
    ("script", "ends"),
    [
        ("--! include end\narchive_task(queue, task, '', text)\n", False),
        ("redis.call('HSET', key, 'state', 'archived')\n", True),
        ("redis.call('HSET', key, 'msg', m, 'state', 'completed')\n", True),
        ("announce(channel, 'completed', '')\n", True),
        ("-- announce(channel): said by the caller\nredis.call('HSET', key, 'state', 'pending')\n", False),
    ],
)
def test_scripts_that_end_tasks_are_found_by_their_writes(script: str, ends: bool) -> None:
    assert scripts_that_end_tasks({"some": script, "end": "announce(channel)"}) == (["some"] if ends else [])


def test_function_lengths_include_methods_and_coroutines() -> None:
    source = "def a():\n    pass\nclass B:\n    async def c(self):\n        pass\n        pass\n"
    assert function_lengths([source]) == [2, 3]


def test_comment_share_counts_lines_with_comments() -> None:
    assert comment_share(["# one\nx = 1  # two\n\ny = '#'\n"], "#") == (2, 3)


@pytest.mark.parametrize(("value", "floor", "fault"), [(3, False, False), (4, False, True), (2, True, True)])
def test_row_is_a_fault_beyond_its_limit(value: float, floor: bool, fault: bool) -> None:
    assert Row("measure", value, 3, 3, floor).fault is fault


def test_row_beyond_its_limit_is_printed_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure_house, "rows", lambda: [Row("measure", 4, 3, 3)])
    assert measure_house.main() == 1
    shown = capsys.readouterr().out
    assert "WORSE THAN ITS LIMIT" in shown
    assert "raise the limit in `rows()`" in shown
    monkeypatch.setattr(measure_house, "rows", lambda: [Row("measure", 3, 3, 3)])
    assert measure_house.main() == 0
    assert "raise the limit" not in capsys.readouterr().out


def test_calls_of_this_package_only_are_counted() -> None:
    def run(call: Callable[[], object]) -> int:
        with calls_by_file() as found:
            call()
        return found.total()

    assert run(lambda: sorted([2, 1])) == 0
    assert run(lambda: duration.parse("5s")) >= 1
