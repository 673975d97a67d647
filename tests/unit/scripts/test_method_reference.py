"""The reference of methods shows each public method of the public classes, with its signature and its docstring."""

import ast
from functools import cache

import pytest

from scripts.method_reference import CLASSES, INTERNAL, method_reference, public_methods

page = cache(method_reference)


@pytest.mark.parametrize("title", CLASSES)
def test_reference_has_a_heading_for_each_public_method(title: str) -> None:

    inherited = {name for kind in CLASSES[title] for name in vars(kind) if not name.startswith("_")}
    methods = {name for name in inherited if callable(getattr(CLASSES[title][0], name)) or _is_property(title, name)}
    shown = {name for name in methods if f"\n### {title}.{name}\n" in page()}
    assert shown == methods - INTERNAL.get(title, frozenset())


def _is_property(title: str, name: str) -> bool:
    return any(isinstance(vars(kind).get(name), property) for kind in CLASSES[title])


@pytest.mark.parametrize("title", CLASSES)
def test_each_public_method_has_a_docstring(title: str) -> None:
    assert [name for name, node in public_methods(title).items() if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("title", INTERNAL)
def test_each_internal_method_exists(title: str) -> None:
    missing = [name for name in INTERNAL[title] if not any(hasattr(kind, name) for kind in CLASSES[title])]

    assert missing == []


def test_signature_keeps_the_short_names_of_the_source() -> None:
    assert "async def enqueue(*args: P.args, **kwargs: P.kwargs) -> Job[R]" in page()
    assert "def result(timeout: DurationLike | None = None) -> R_co" in page()
    assert "stopping: bool  # property" in page()
    assert "async with worker(**settings: Any) -> AsyncGenerator[Worker]" not in page()
    assert "async with worker(**settings: Any)" in page()
