"""Chains of schedules that start each other."""

import pytest

from rota.schedule.definition import ScheduleDefinition
from rota.schedule.then_links import MOST_LINKS, followers_of, problem_of_chain


def test_followers_are_the_schedules_and_not_the_tasks() -> None:
    rules = [{"schedule": "b"}, {"task_type": "x:y"}, {"schedule": "c", "on": "failure"}]
    definition = ScheduleDefinition(name="a", task_type="a:b", specs="@daily", then=rules)

    assert followers_of(definition) == {"b", "c"}


def test_branches_that_meet_again_are_no_circle() -> None:
    links = {"a": frozenset("bc"), "b": frozenset("d"), "c": frozenset("d"), "d": frozenset[str]()}

    assert [problem_of_chain(name, links) for name in links] == ["", "", "", ""]


def test_circle_is_named_link_by_link() -> None:
    links = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a")}

    assert "a → b → c → a" in problem_of_chain("a", links)


@pytest.mark.parametrize("at", [0, MOST_LINKS // 2, MOST_LINKS])
def test_chain_is_as_long_as_allowed_and_no_longer(at: int) -> None:
    def chain(length: int) -> dict[str, frozenset[str]]:
        return {f"{number}": frozenset({f"{number + 1}"}) for number in range(length)} | {f"{length}": frozenset()}

    assert problem_of_chain(f"{at}", chain(MOST_LINKS)) == ""
    assert "makes a chain of 11 starts" in problem_of_chain(f"{at}", chain(MOST_LINKS + 1))
