"""Payloads by name, where no type is known: JSON decides."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import (
    SecretStr,
)

from rota import PayloadError, Rota
from tests.unit.typed_values import Admin, Area, Colour, Hidden, Masked, Order, named, nested

# By name, where no type is known


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"a": float("nan")}, "payload of x:y cannot be written as JSON"),
        ([float("inf")], "payload of x:y cannot be written as JSON"),
        ({"a": SecretStr("hush")}, "a is a secret"),
        ({"a": Masked(token=SecretStr("hush"))}, "a: .*token: a SecretStr is written as asterisks"),
        ({None: 1}, "the key None"),
        ({"a": {(1, 2): 1}}, r"a has the key \(1, 2\)"),
        ({1: 1, "1": 2}, "two keys that are one text"),
        (nested(250), "cannot be written as JSON"),
        ({"a": 10**5000}, "cannot be written as JSON"),
        (Hidden(name="a", token="t"), "not equal"),
        ("\ud800", "cannot be written as JSON"),
    ],
    ids=named,
)
def test_payload_by_name_that_json_cannot_carry_is_refused(payload: Any, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason) as info:
        Rota().plan("x:y", payload)
    assert "hush" not in str(info.value)


@pytest.mark.parametrize(
    ("payload", "written"),
    [
        ({"at": datetime(2030, 1, 1, tzinfo=UTC)}, b'{"at":"2030-01-01T00:00:00Z"}'),
        ({"id": UUID(int=1), "c": Colour.RED}, b'{"id":"00000000-0000-0000-0000-000000000001","c":"red"}'),
        ({"pair": (1, 2)}, b'{"pair":[1,2]}'),
        ({1: "a"}, b'{"1":"a"}'),
        (Admin(name="Ada", rights=["all"]), b'{"name":"Ada","age":0,"rights":["all"]}'),
        (Area(width=3), b'{"width":3}'),
        ({"order": Order(1)}, b'{"order":{"number":1,"notes":[]}}'),
    ],
)
def test_payload_by_name_is_written_as_json_has_it(payload: Any, written: bytes) -> None:
    assert Rota().plan("x:y", payload).payload == written
