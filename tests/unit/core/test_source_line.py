"""Errors at import name the file, the line and the task."""

import sys
from pathlib import Path
from typing import Any

import pytest

from rota import ConfigError, Debounce, OptionError, PayloadError, Plan, Retry, Rota, RoutingError, Unique
from rota.client.packing import Packer
from rota.wire.keys import Keys

HERE = "test_source_line.py"


def line() -> int:
    """Return the line of the code that calls this."""
    return sys._getframe(1).f_lineno


def job(number: int) -> None: ...


async def other(number: int, delay: int = 0) -> None: ...


@pytest.mark.parametrize(
    "words", [{"quee": "a"}, {"run": "proces"}, {"timeout": "30"}, {"retry": -1}, {"unique": "5"}, {"on_failure": 5}]
)
def test_error_of_a_task_names_the_line_and_the_task(words: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as info:
        Rota().task("test:job", **words)(job)
    here = line() - 1

    assert "app.task('test:job')" in str(info.value)
    assert f"{HERE}:{here})" in str(info.value)
    assert info.value.place.endswith(f"{HERE}:{here}")
    assert str(info.value).count(HERE) == 1


def test_error_of_a_signature_names_the_line_and_the_task() -> None:
    def wide(*numbers: int) -> None: ...

    with pytest.raises(OptionError, match=rf"app.task\('test:job'\): .*\*numbers.*{HERE}:{line() + 1}"):
        Rota().task("test:job")(wide)


def test_error_of_a_name_names_the_line() -> None:
    with pytest.raises(RoutingError, match=rf"'Test.Job' is no good task type: .*{HERE}:{line() + 1}"):
        Rota().task("Test.Job")(job)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Retry(max=-1), r"Retry\(max=...\) is -1"),
        (lambda: Retry(max=1, base="x"), "base"),
        (lambda: Retry(only=5), "holds 5"),  # type: ignore[arg-type]
        (lambda: Unique(), "needs a ttl"),
        (lambda: Unique("1m", scope="run"), "scope"),
        (lambda: Debounce(" ", "1s"), "key"),
    ],
)
def test_error_of_a_policy_names_the_line(make: Any, said: str) -> None:
    with pytest.raises(OptionError, match=rf"{said}.*{HERE}:{make.__code__.co_firstlineno}\)$"):
        make()


def test_error_of_a_handler_and_an_aggregator_names_the_line() -> None:
    with pytest.raises(OptionError, match=rf"app.handler\('test:'\).*{HERE}:{line() + 1}"):
        Rota().handler("test:", run="proces")(lambda ctx, payload: None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=rf"app.aggregator\('test:', group='\*'\): max_size.*{HERE}:{line() + 1}"):
        Rota().aggregator("test:", max_size=0)(lambda group, tasks: None)


@pytest.mark.parametrize("decorator", ["task", "handler", "aggregator"])
def test_decorator_without_its_parentheses_says_how_to_write_it(decorator: str) -> None:
    with pytest.raises(OptionError, match=rf"app.{decorator} needs the type name.*{HERE}:{line() + 1}"):
        getattr(Rota(), decorator)(job)


def test_second_registration_of_a_name_names_both_source_lines() -> None:
    app = Rota()
    app.task("test:job")(job)
    first = line() - 1
    with pytest.raises(RoutingError, match=rf"registered already, by .*{HERE}:{first}\).*{HERE}:{line() + 1}\)"):
        app.task("test:job")(other)
    with pytest.raises(RoutingError, match=rf"registered already, by .*{HERE}:{first}\).*{HERE}:{line() + 1}\)"):
        app.handler("test:job")(lambda ctx, payload: None)


def test_second_aggregator_of_a_group_names_both_source_lines() -> None:
    app = Rota()
    app.aggregator("test:job", group="g")(lambda group, tasks: None)
    first = line() - 1
    with pytest.raises(RoutingError, match=rf"taken already, by .*{HERE}:{first}\).*{HERE}:{line() + 1}\)"):
        app.aggregator("test:job", group="g")(lambda group, tasks: None)


def test_source_line_is_written_from_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)

    with pytest.raises(OptionError) as info:
        Retry(max=-1)

    assert info.value.place == f"{HERE}:{line() - 2}"


@pytest.mark.parametrize("type", ["", "  ", None, 7])
def test_task_type_that_is_no_text_is_refused_at_enqueue(type: Any) -> None:
    with pytest.raises(RoutingError, match="is blank or not a text"):
        Rota().plan(type, {})
    with pytest.raises(RoutingError, match="is blank or not a text"):
        Packer(Keys()).pack(Plan(type, b"{}"))


def test_option_among_the_arguments_is_told_where_it_belongs() -> None:
    task = Rota().task("test:job")(job)

    for name in ("delay", "queue", "unique", "process_at", "task_id"):
        with pytest.raises(PayloadError, match=rf"takes no argument '{name}'. .*task.options\({name}=...\).enqueue"):
            task.plan(1, **{name: 3})  # type: ignore[arg-type]
    with pytest.raises(PayloadError, match=r"app.enqueue\(type, payload, delay=...\)"):
        task.plan_of({"number": 1, "delay": 3})
    assert Rota().task("test:other")(other).plan(1, delay=3).payload == b'{"number":1,"delay":3}'
