"""Typed arguments as one JSON object, and results as JSON."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, PlainSerializer, PlainValidator

from rota.errors import OptionError, PayloadError
from rota.tasks.payload import Arguments, Result, WholePayload, arguments_of
from rota.tasks.signature import MISSING, Payload, read_signature
from rota.tasks.untyped import loose_payload


class Order(BaseModel):
    number: int
    note: str = ""


class Colour(Enum):
    RED = "red"


def prepared(function: Callable[..., Any]) -> Arguments | WholePayload:
    return arguments_of(read_signature(function))


def written(function: Callable[..., Any], *args: Any, **kwargs: Any) -> bytes:
    arguments = prepared(function)
    return arguments.write(arguments.bind(args, kwargs))


async def welcome(user_id: int, locale: str = "en") -> str: ...


async def price(order: Order, colour: Colour = Colour.RED, *, day: date | None = None) -> None: ...


async def bill(order: Annotated[Order, Payload]) -> None: ...


async def store(blob: Annotated[bytes, Payload]) -> None: ...


async def nothing() -> None: ...


def test_arguments_become_one_object_keyed_by_parameter_in_their_order() -> None:
    assert written(welcome, 7) == b'{"user_id":7,"locale":"en"}'
    assert written(welcome, locale="de", user_id=7) == b'{"user_id":7,"locale":"de"}'
    assert written(nothing) == b"{}"


def test_what_is_written_is_read_back() -> None:
    payload = written(price, Order(number=3), Colour.RED, day=date(2030, 1, 2))

    assert json.loads(payload) == {"order": {"number": 3, "note": ""}, "colour": "red", "day": "2030-01-02"}
    assert prepared(price).read(payload) == {
        "order": Order(number=3),
        "colour": Colour.RED,
        "day": date(2030, 1, 2),
    }


def test_a_producer_may_leave_out_what_has_a_default() -> None:
    assert prepared(welcome).read(b'{"user_id":7}') == {"user_id": 7}


def test_unknown_keys_are_ignored_at_run_and_refused_at_enqueue() -> None:
    assert prepared(welcome).read(b'{"user_id":7,"new":1}') == {"user_id": 7}
    with pytest.raises(PayloadError, match=r"takes no argument 'user_idd'. Did you mean 'user_id'"):
        written(welcome, user_idd=7)


@pytest.mark.parametrize("payload", [b"", b"null", b" \n"])
def test_an_empty_payload_serves_a_function_that_needs_nothing(payload: bytes) -> None:
    assert prepared(nothing).read(payload) == {}
    with pytest.raises(PayloadError, match="does not fit welcome"):
        prepared(welcome).read(payload)


@pytest.mark.parametrize("payload", [b"[7]", b"7", b'{"user_id":', b"\xff\xfe", b'{"user_id":"x"}', b"{}"])
def test_a_payload_that_does_not_fit_says_where_and_why(payload: bytes) -> None:
    with pytest.raises(PayloadError, match=r"does not fit welcome: .+Compare what the producer sends"):
        prepared(welcome).read(payload)


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "lacks 'user_id'"),
        ((1, "en", 3), {}, "takes 2 arguments by position, but got 3"),
        ((1,), {"user_id": 2}, "twice"),
        (("x",), {}, "user_id: Input should be a valid integer"),
    ],
)
def test_binding_errors_come_at_enqueue(args: tuple[Any, ...], kwargs: dict[str, Any], reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        written(welcome, *args, **kwargs)


def test_many_faults_are_cut_to_five() -> None:
    async def many(a: int, b: int, c: int, d: int, e: int, f: int, g: int) -> None: ...

    with pytest.raises(PayloadError, match="and 2 more"):
        prepared(many).read(b"{}")


def test_values_are_checked_and_converted_at_enqueue() -> None:
    async def stamp(at: datetime, key: UUID, count: Annotated[int, Field(gt=0)]) -> None: ...

    key = "00000000-0000-0000-0000-000000000001"
    assert written(stamp, "2030-01-01T00:00:00Z", key, "3") == (
        b'{"at":"2030-01-01T00:00:00Z","key":"00000000-0000-0000-0000-000000000001","count":3}'
    )
    with pytest.raises(PayloadError, match="count: Input should be greater than 0"):
        written(stamp, datetime(2030, 1, 1, tzinfo=UTC), UUID(key), 0)


def test_an_alias_is_the_key_on_the_wire_and_the_name_in_python() -> None:
    async def greet(user_id: Annotated[int, Field(alias="userId")]) -> None: ...

    assert written(greet, user_id=7) == b'{"userId":7}'
    assert prepared(greet).read(b'{"userId":7}') == {"user_id": 7}


def test_aliases_inside_of_a_model_travel_too() -> None:
    class Customer(BaseModel):
        full_name: str = Field(alias="fullName")

    async def greet(customer: Customer) -> None: ...

    customer = Customer(fullName="Ada")
    assert written(greet, customer) == b'{"customer":{"fullName":"Ada"}}'
    assert prepared(greet).read(b'{"customer":{"fullName":"Ada"}}') == {"customer": customer}


def test_type_without_a_json_schema_travels_if_it_reads_what_it_writes() -> None:
    class Celsius:
        def __init__(self, degrees: float) -> None:
            self.degrees = degrees

    def read(value: object) -> Celsius:
        return value if isinstance(value, Celsius) else Celsius(float(str(value)))

    async def report(
        heat: Annotated[Any, PlainValidator(read), PlainSerializer(lambda value: value.degrees)],
    ) -> None: ...

    payload = written(report, Celsius(21.5))

    assert payload == b'{"heat":21.5}'
    assert prepared(report).read(payload)["heat"].degrees == 21.5


def test_parameters_without_annotations_take_any_json() -> None:
    async def loose(a, b=None) -> None: ...  # type: ignore[no-untyped-def]

    assert written(loose, {"x": [1]}) == b'{"a":{"x":[1]},"b":null}'
    with pytest.raises(PayloadError, match="cannot be written as JSON"):
        written(loose, object())


def test_a_marked_parameter_is_the_whole_payload() -> None:
    assert written(bill, Order(number=3)) == b'{"number":3,"note":""}'
    assert written(bill, order={"number": 3}) == b'{"number":3,"note":""}'
    assert prepared(bill).read(b'{"number":3}') == {"order": Order(number=3)}
    with pytest.raises(PayloadError, match=r"does not fit bill: number"):
        prepared(bill).read(b"{}")
    with pytest.raises(PayloadError, match="the whole payload"):
        written(bill, Order(number=1), Order(number=2))
    with pytest.raises(PayloadError, match="the whole payload"):
        written(bill)


def test_a_whole_payload_that_cannot_be_written_is_refused() -> None:
    async def loose(thing: Annotated[Any, Payload]) -> None: ...

    with pytest.raises(PayloadError, match="argument of loose cannot be written"):
        written(loose, object())
    with pytest.raises(PayloadError, match="argument does not fit bill"):
        written(bill, {"number": "x"})
    with pytest.raises(PayloadError, match="argument does not fit store"):
        written(store, 5)


def test_whole_bytes_pass_as_they_are() -> None:
    assert written(store, b"\xff\x00") == b"\xff\x00"
    assert prepared(store).read(b"\xff\x00") == {"blob": b"\xff\x00"}


def test_a_whole_payload_with_a_default_may_be_empty() -> None:
    async def maybe(order: Annotated[Order | None, Payload] = None) -> None: ...

    assert prepared(maybe).read(b"") == {}
    assert written(maybe) == b"null"


def test_the_schema_tells_what_a_payload_holds() -> None:
    schema = prepared(welcome).schema()

    assert schema["required"] == ["user_id"]
    assert set(schema["properties"]) == {"user_id", "locale"}
    assert prepared(bill).schema()["title"] == "Order"
    assert prepared(store).schema() == {}


def test_a_type_that_json_cannot_carry_is_refused_at_import() -> None:
    async def bad(connection: Callable[[], None], thing: type[Order]) -> None: ...

    class Opaque:
        pass

    async def worse(thing: Opaque) -> None: ...

    with pytest.raises(OptionError, match="JSON cannot carry"):
        prepared(worse)


def test_a_default_that_cannot_travel_is_refused_at_import() -> None:
    async def bad(thing: Any = object()) -> None: ...  # noqa: B008

    with pytest.raises(OptionError, match="The default of 'thing'"):
        prepared(bad)


@pytest.mark.parametrize(
    ("annotation", "value", "stored"),
    [
        (str, "sent", b'"sent"'),
        (Order, Order(number=1), b'{"number":1,"note":""}'),
        (MISSING, {"a": 1}, b'{"a":1}'),
        (bytes, b"\xff", b"\xff"),
        (list[int], [1, 2], b"[1,2]"),
    ],
)
def test_a_result_is_stored_and_read_by_the_return_annotation(annotation: Any, value: Any, stored: bytes) -> None:
    result = Result("f", annotation)

    assert result.write(value) == stored
    assert result.read(stored) == value


def test_no_result_is_none() -> None:
    assert Result("f", str).write(None) is None
    assert Result("f", str).read(b"") is None


def test_result_that_is_not_what_was_said_is_refused() -> None:
    result = Result("f", int)

    with pytest.raises(PayloadError, match="The result does not fit f: it: Input should be a valid integer"):
        result.write("seven")
    with pytest.raises(PayloadError, match="not what f is said to return"):
        result.read(b'"seven"')
    with pytest.raises(PayloadError, match="result of f cannot be written"):
        Result("f", MISSING).write(object())


def test_result_of_a_raw_handler_is_bytes_or_json() -> None:
    result = Result("f", bytes, is_raw=True)

    assert result.write(b"\xff") == b"\xff"
    assert result.write({"a": 1}) == b'{"a":1}'
    with pytest.raises(PayloadError, match="The result of f cannot be written as JSON"):
        result.write(float("nan"))


def test_a_payload_by_name_is_json_or_bytes_or_nothing() -> None:
    assert loose_payload("a:b", None) == b""
    assert loose_payload("a:b", b"\xff") == b"\xff"
    assert loose_payload("a:b", {"id": 7}) == b'{"id":7}'
    assert loose_payload("a:b", Order(number=1)) == b'{"number":1,"note":""}'
    with pytest.raises(PayloadError, match="payload of a:b"):
        loose_payload("a:b", object())


def test_a_context_without_its_annotation_is_asked_about() -> None:
    def work(ctx: Any, order: int) -> None: ...

    with pytest.raises(PayloadError, match=r"work lacks 'order'. Annotate 'ctx' as Context if"):
        prepared(work).bind((7,), {})
