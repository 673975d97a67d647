"""A payload against the schemas of its type."""

import sys

import pytest

from rota.errors import ConfigError, PayloadError
from rota.inspect.payload_check import check_payload
from rota.inspect.task_type import TypeList, TypeSnapshot, TypeVersion

SCHEMA = {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "integer"}}}


def types(*schemas: dict[str, object] | None) -> TypeList:
    versions = tuple(TypeVersion(type="t", schema=schema, servers=("s",)) for schema in schemas)
    return TypeList((TypeSnapshot("t", ("q",), versions),))


def test_payload_that_fits_one_of_the_schemas_is_fine() -> None:
    check_payload(types(SCHEMA), "t", b'{"n":1}')
    check_payload(types(SCHEMA, {"type": "array"}), "t", b"[]")


@pytest.mark.parametrize("known", [TypeList(), types(None), types()])
def test_payload_of_an_unknown_type_is_not_checked(known: TypeList) -> None:
    check_payload(known, "t", b"\xff")


def test_payload_that_does_not_fit_is_refused_with_the_place() -> None:
    with pytest.raises(PayloadError, match="n: 'x' is not of type 'integer'"):
        check_payload(types(SCHEMA), "t", b'{"n":"x"}')
    with pytest.raises(PayloadError, match="is not JSON"):
        check_payload(types(SCHEMA), "t", b"{")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigError, match=r"Install rota\[schema\]"):
        check_payload(types(SCHEMA), "t", b"{}")
