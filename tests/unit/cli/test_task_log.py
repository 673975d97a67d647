"""Which lines of a growing log are new."""

import pytest

from rota.cli.task.task_log import new_lines


@pytest.mark.parametrize(
    ("seen", "lines", "new"),
    [
        ([], ["a"], ["a"]),
        (["a"], ["a"], []),
        (["a"], ["a", "b"], ["b"]),
        (["a", "b", "c"], ["c", "d"], ["d"]),
        (["a", "b"], ["x", "y"], ["x", "y"]),
        (["a", "a"], ["a", "a", "a"], ["a"]),
    ],
    ids=["first", "same", "one more", "the first lines were dropped", "another attempt", "same texts"],
)
def test_new_lines_of_a_log_are_found(seen: list[str], lines: list[str], new: list[str]) -> None:
    assert new_lines(seen, lines) == new
