"""What an include and the decorators of a router refuse."""

import types
from collections.abc import Callable
from typing import Any, cast

import pytest

from rota import OptionError, Rota, RoutingError, Tasks, Unique

HERE = "test_router_refusals.py:"


def job(number: int) -> str:
    return str(number)


def silent(number: int) -> None: ...


def test_second_include_is_refused_with_both_source_lines() -> None:
    app, tasks = Rota(), Tasks()
    app.include(tasks)

    for other in (app, Rota(), Tasks()):
        with pytest.raises(RoutingError) as caught:
            other.include(tasks, prefix="second:")

        text = str(caught.value)
        assert "is included already, in " in text
        assert "make the router in a function" in text
        assert text.count(HERE) == 3  # where the router was made, and both includes


def test_duplicate_types_are_refused_with_both_source_lines_and_change_nothing() -> None:
    app, tasks = Rota(), Tasks()
    app.task("billing:charge")(job)
    fine, twice = tasks.task("fine")(job), tasks.task("charge")(job)
    tasks.aggregator("fine")(lambda group, tasks: None)

    with pytest.raises(RoutingError) as caught:
        app.include(tasks, prefix="billing:")

    text = str(caught.value)
    assert "tasks.task('charge'): 'billing:charge' is registered already" in text
    assert text.count(HERE) == 2
    assert [handler.type for handler in app.registry] == ["billing:charge"]
    assert len(app.aggregators) == 0
    assert (fine.handler.type, twice.handler.type) == ("fine", "charge")

    app.include(tasks, prefix="other:")
    assert (fine.type, twice.type) == ("other:fine", "other:charge")


def test_duplicates_within_one_router_and_between_two_are_refused() -> None:
    tasks = Tasks()
    tasks.task("charge")(job)
    tasks.handler("charge")(lambda ctx, payload: None)
    with pytest.raises(RoutingError, match="'a:charge' is registered already"):
        Rota().include(tasks, prefix="a:")

    groups = Tasks()
    groups.aggregator("charge")(lambda group, tasks: None)
    groups.aggregator("charge")(lambda group, tasks: None)
    with pytest.raises(RoutingError, match="of a:charge are taken already") as caught:
        Rota().include(groups, prefix="a:")
    assert str(caught.value).count(HERE) == 2

    app, one, other = Rota(), Tasks(), Tasks()
    one.task("charge")(job)
    app.include(one)
    app.include(other)
    with pytest.raises(RoutingError, match="'charge' is registered already"):
        other.task("charge")(job)
    assert [handler.type for handler in app.registry] == ["charge"]


def test_router_cannot_include_itself_or_an_app() -> None:
    outer, inner = Tasks(), Tasks()
    outer.include(inner)

    with pytest.raises(RoutingError, match="would include itself"):
        inner.include(outer)
    with pytest.raises(RoutingError, match="would include itself"):
        outer.include(outer)
    with pytest.raises(OptionError, match="An app cannot be included"):
        outer.include(Rota())


def test_module_given_for_a_router_is_answered_with_the_name_of_its_router() -> None:
    module = types.ModuleType("billing")
    with pytest.raises(OptionError, match="The module billing is not a router"):
        Rota().include(module)  # type: ignore[arg-type]

    module.jobs = Tasks()  # type: ignore[attr-defined]
    with pytest.raises(OptionError, match=r"Did you mean billing\.jobs\?"):
        Rota().include(module)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"prefix": "billing"}, "must end with ':', as in 'billing:'"),
        ({"prefix": "Billing:"}, "no good prefix: it holds capital letters.* without a prefix, and give each task"),
        ({"prefix": ":"}, "empty segment"),
        ({"prefix": None}, "must be a text"),
        ({"quee": "a"}, r"app.include has no option 'quee'. Did you mean 'queue'"),
        ({"unique": "5m"}, "write it at each task"),
        ({"run": "process"}, "write it at each task"),
        ({"task_id": "a"}, "every run would have the same ID"),
        ({"timeout": "30"}, "needs a unit"),
        ({"queue": " "}, "more than white space"),
        ({"retry": "3"}, "retry"),
        ({"headers": "a"}, "must be a dict"),
    ],
)
def test_wrong_include_is_refused_with_its_source_line(words: dict[str, Any], reason: str) -> None:
    app, tasks = Rota(), Tasks()
    charge = tasks.task("charge")(job)

    with pytest.raises((OptionError, RoutingError), match=reason) as caught:
        app.include(tasks, **words)

    assert HERE in str(caught.value)
    assert len(app.registry) == 0
    app.include(tasks)
    assert charge.type == "charge"


def test_bad_name_is_refused_at_the_include_with_the_source_line_of_its_task() -> None:
    tasks = Tasks()
    tasks.task("Charge")(job)
    with pytest.raises(RoutingError, match=r"tasks.task\('Charge'\).*capital letters") as caught:
        Rota().include(tasks, prefix="billing:")
    assert HERE in str(caught.value)

    Rota(matching="asynq").include(tasks, prefix="billing:")
    with pytest.raises(RoutingError, match="is blank"):
        Tasks().task("")(job)


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (lambda tasks: tasks.task("a", quee="x")(job), r"tasks.task\('a'\) has no option 'quee'"),
        (lambda tasks: tasks.task("a", unique=Unique("1m", key="{nobody}"))(job), r"tasks.task\('a'\).*'nobody'"),
        (lambda tasks: tasks.task(job), "tasks.task needs the type name: @tasks.task"),
        (lambda tasks: tasks.handler("a", queue="x")(silent), r"tasks.handler\('a'\) has no option 'queue'"),
        (lambda tasks: tasks.aggregator("a")(5), r"tasks.aggregator\('a', group='\*'\).*must be a function"),
        (lambda tasks: tasks.middleware(silent), "tasks.middleware.*async generator function"),
        (lambda tasks: tasks.on_failure("log"), "tasks.on_failure.*must be a function"),
        (lambda tasks: Tasks(middleware=cast(Any, silent)), r"Tasks\(middleware=\.\.\.\).*must be a list of functions"),
    ],
)
def test_decorators_of_a_router_refuse_what_those_of_the_app_refuse(use: Callable[[Tasks], Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason) as caught:
        use(Tasks())

    assert HERE in str(caught.value)
