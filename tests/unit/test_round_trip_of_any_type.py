"""Values of any type: they arrive equal, or they are refused."""

import ipaddress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from rota import PayloadError
from tests.unit.typed_values import Box, Colour, task_of

# Any type at all

OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (str, st.text(st.characters(codec="utf-8"))),
    (float, st.floats()),
    (bool, st.booleans()),
    (bytes, st.binary(max_size=8)),
    (Decimal, st.decimals()),
    (datetime, st.datetimes() | st.datetimes(timezones=OFFSETS)),
    (date, st.dates()),
    (time, st.times() | st.times(timezones=OFFSETS)),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Colour, st.just(Colour.RED)),
    (Any, st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.tuples(inner))),
    (ipaddress.IPv6Address, st.ip_addresses(v=6)),
]


@st.composite
def typed_values(draw: st.DrawFn, depth: int = 2) -> tuple[Any, Any]:
    kinds = ["scalar", "optional", "list", "dict", "set", "tuple", "union", "model"] if depth else ["scalar"]
    kind = draw(st.sampled_from(kinds))
    if kind == "scalar":
        annotation, values = draw(st.sampled_from(SCALARS))
        return annotation, draw(values)
    annotation, value = draw(typed_values(depth=depth - 1))
    other, second = draw(typed_values(depth=depth - 1))
    if kind == "optional":
        return annotation | None if annotation is not Any else Any, draw(st.sampled_from([value, None]))
    if kind == "list":
        return list[annotation], [value] * draw(st.integers(0, 2))
    if kind == "dict":
        return dict[other, annotation], {second: value} if _hashable(second) else {}
    if kind == "set":
        return set[annotation], {value} if _hashable(value) else set()
    if kind == "tuple":
        return tuple[annotation, other], (value, second)
    if kind == "union":
        return annotation | other if Any not in (annotation, other) else Any, draw(st.sampled_from([value, second]))
    return Box[annotation], Box[annotation].model_construct(content=value)


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@given(typed_values())
def test_any_value_of_any_type_arrives_equal_or_is_refused(case: tuple[Any, Any]) -> None:
    annotation, value = case
    task = task_of(annotation)
    try:
        payload = task.plan(value).payload
    except PayloadError:
        return

    assert task.handler.arguments.read(payload)["value"] == value
