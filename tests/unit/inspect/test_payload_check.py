"""A payload against the schemas of its type."""

import sys
from collections.abc import Mapping

import pytest

from rota.errors import ConfigError, PayloadError
from rota.inspect.payload_check import PayloadCheck
from rota.inspect.task_type import TypeList, TypeSnapshot, TypeVersion

SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"n": {"$ref": "#/$defs/N"}},
    "$defs": {"N": {"type": "integer"}},
}


def types(*schemas: Mapping[str, object] | None) -> TypeList:
    versions = tuple(TypeVersion(type="t", schema=schema, servers=("s",)) for schema in schemas)
    return TypeList((TypeSnapshot("t", ("q",), versions),))


def check(known: TypeList, payload: bytes) -> None:
    PayloadCheck(known).check("t", payload)


def test_payload_that_fits_one_of_the_schemas_is_fine() -> None:
    check(types(SCHEMA), b'{"n":1}')
    check(types(SCHEMA, {"type": "array"}), b"[]")


@pytest.mark.parametrize("known", [TypeList(), types(None), types()])
def test_payload_of_an_unknown_type_is_not_checked(known: TypeList) -> None:
    check(known, b"\xff")


def test_payload_that_does_not_fit_is_refused_with_the_path() -> None:
    with pytest.raises(PayloadError, match="n: 'x' is not of type 'integer'"):
        check(types(SCHEMA), b'{"n":"x"}')
    with pytest.raises(PayloadError, match="is not JSON"):
        check(types(SCHEMA), b"{")
    with pytest.raises(PayloadError, match=r"xxx….* Correct it") as refused:
        check(types(SCHEMA), b'{"n":"%s"}' % (b"x" * 100_000))
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": 5},
        {"pattern": r"\p{Letter}"},
        {"multipleOf": 0},
        {"$ref": "#/$defs/missing"},
        {"$ref": "http://127.0.0.1:9/schema"},
    ],
)
def test_schema_that_is_not_valid_is_an_error_of_its_type(schema: Mapping[str, object]) -> None:
    with pytest.raises(
        PayloadError, match=r"payload for t cannot be checked: its workers publish .* leave out the check"
    ):
        check(types(schema), b'"text"')


@pytest.mark.parametrize(("schema", "payload"), [({"$ref": "#"}, b"1"), (SCHEMA, b"[" * 100_000 + b"]" * 100_000)])
def test_comparison_that_is_nested_too_deeply_is_an_error_of_its_payload(
    schema: Mapping[str, object], payload: bytes
) -> None:
    with pytest.raises(PayloadError, match="nested too deeply"):
        check(types(schema), payload)


def test_missing_package_is_named_before_any_payload_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigError, match=r"Install rota\[schema\]"):
        PayloadCheck(types(SCHEMA))
    PayloadCheck(types(None))
