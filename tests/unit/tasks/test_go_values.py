"""JSON as Go writes it: null for what is nil, nanoseconds for a duration, base64 for bytes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rota import GoBytes, GoDuration, OptionError, Payload, PayloadError, Rota
from rota.tasks.payload import Result, arguments_of
from rota.tasks.signature import MISSING, read_signature
from rota.tasks.task import Task


class Item(BaseModel):
    name: str = ""
    tags: list[str] = []
    limits: dict[str, int] = {}
    part: "Item | None" = None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    tags: list[str] = Field([], alias="allTags")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    tags: list[str] = []


@dataclass
class Box:
    size: int
    marks: list[int] = field(default_factory=list)


def read(function: Callable[..., Any], payload: bytes) -> dict[str, Any]:
    return arguments_of(read_signature(function)).read(payload)


def one(annotation: Any, value: Any, default: Any = MISSING) -> Task[..., Any]:
    def act(value=default):  # type: ignore[no-untyped-def]
        return value

    act.__annotations__ = {"value": annotation}
    return Rota().task("test:act")(act)


async def act(
    id: int,
    tags: list[str] = [],  # noqa: B006
    limits: dict[str, int] = {},  # noqa: B006
    count: int = 7,
    note: str | None = "n",
    item: Item = Item(),  # noqa: B008
    odd: Annotated[int, BeforeValidator(int)] = 5,
) -> None: ...


def test_null_for_a_parameter_with_a_default_is_not_given() -> None:
    nulls = b'{"id":1,"tags":null,"limits":null,"count":null,"item":null}'

    assert read(act, nulls) == {"id": 1}


def test_null_that_the_type_accepts_stays_none() -> None:
    assert read(act, b'{"id":1,"note":null,"count":null}') == {"id": 1, "note": None}

    def loose(value=5) -> None:  # type: ignore[no-untyped-def]
        ...

    assert read(loose, b'{"value":null}') == {"value": None}


@pytest.mark.parametrize(
    ("annotation", "payload", "expected"),
    [
        (Item, b'{"name":"a","tags":null,"limits":null}', Item(name="a")),
        (Item, b'{"part":{"tags":null,"part":{"limits":null}}}', Item(part=Item(part=Item()))),
        (Strict, b'{"name":"a","allTags":null}', Strict(name="a")),
        (Open, b'{"tags":null,"more":1}', Open(more=1)),  # type: ignore[call-arg]
        (Box, b'{"size":1,"marks":null}', Box(1)),
        (list[Item], b'[{"tags":null},{"limits":null}]', [Item(), Item()]),
        (dict[str, Item], b'{"a":{"tags":null}}', {"a": Item()}),
        (Strict | Box, b'{"size":1,"marks":null}', Box(1)),
        (tuple[Item, int], b'[{"tags":null},1]', (Item(), 1)),
    ],
)
def test_null_for_a_field_with_a_default_is_not_given(annotation: Any, payload: bytes, expected: Any) -> None:
    arguments = one(annotation, None).handler.arguments
    whole = one(Annotated[annotation, Payload], None).handler.arguments

    assert arguments.read(b'{"value":' + payload + b"}") == {"value": expected}
    assert whole.read(payload) == {"value": expected}
    assert Result("f", annotation).read(payload) == expected


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (int, b"null"),
        (list[str], b"null"),
        (list[int], b"[1,null]"),
        (dict[str, int], b'{"a":null}'),
        (dict[str, Item], b'{"a":null}'),
        (Item, b'{"limits":{"a":null}}'),
        (Item, b'{"tags":null,"limits":{"a":null}}'),
        (Strict, b'{"name":null}'),
        (Strict, b'{"name":"a","allTags":null,"more":null}'),
        (Box, b'{"size":null}'),
        (Item, b'{"tags":null,"name":5}'),
    ],
)
def test_null_without_a_default_stays_refused(annotation: Any, payload: bytes) -> None:
    with pytest.raises(PayloadError, match="does not fit"):
        one(annotation, None).handler.arguments.read(b'{"value":' + payload + b"}")


def test_refusal_tells_of_the_payload_as_it_came() -> None:
    with pytest.raises(PayloadError, match=r"does not fit act: id: Input should be a valid integer.*; tags: Input"):
        read(act, b'{"id":"x","tags":null}')


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (timedelta(seconds=90), b"90000000000"),
        (timedelta(microseconds=-1), b"-1000"),
        (timedelta(0), b"0"),
        (90_000_000_000, b"90000000000"),
        (1999, b"1000"),
        (-1999, b"-1000"),
        ("1h30m", b"5400000000000"),
        (timedelta(days=365 * 292), b"9208512000000000000"),
    ],
)
def test_duration_of_go_is_whole_nanoseconds(value: Any, written: bytes) -> None:
    task = one(GoDuration, value)

    payload = task.plan(value).payload

    assert payload == b'{"value":' + written + b"}"
    assert task.handler.arguments.read(payload)["value"] == timedelta(microseconds=int(written) // 1000)


@pytest.mark.parametrize("value", [timedelta(days=365 * 293), 2**63, -(2**70), True, 1.5, "90", "soon", None])
def test_what_is_not_a_duration_of_go_is_refused(value: Any) -> None:
    with pytest.raises(PayloadError, match="value"):
        one(GoDuration, value).plan(value)


def test_bytes_of_go_are_base64() -> None:
    task = one(GoBytes, b"")

    assert task.plan(b"\x00\xff>").payload == b'{"value":"AP8+"}'
    assert task.handler.arguments.read(b'{"value":"AP8+"}') == {"value": b"\x00\xff>"}
    assert task.handler.arguments.read(b'{"value":null}') == {"value": b""}
    assert task.handler.arguments.read(b'{"value":""}') == {"value": b""}
    with pytest.raises(PayloadError, match="is not base64"):
        task.handler.arguments.read(b'{"value":"AP8-"}')


def test_types_of_go_stand_in_models_containers_defaults_and_results() -> None:
    class Job(BaseModel):
        wait: GoDuration = timedelta(seconds=1)
        data: GoBytes = b"a"
        waits: list[GoDuration] = []

    job = Job(wait=timedelta(minutes=1), data=b"\xff", waits=[timedelta(seconds=1)])
    task = one(Job, job)

    payload = task.plan(job).payload
    assert payload == b'{"value":{"wait":60000000000,"data":"/w==","waits":[1000000000]}}'
    assert task.handler.arguments.read(payload) == {"value": job}
    assert task.handler.arguments.read(b'{"value":{"wait":null,"data":null,"waits":null}}') == {"value": Job(data=b"")}
    assert one(GoDuration | None, None, default=None).plan().payload == b'{"value":null}'
    assert Result("f", GoDuration).write(timedelta(seconds=1)) == b"1000000000"
    assert Result("f", GoBytes).write(b"\xff") == b'"/w=="'
    whole = one(Annotated[GoBytes, Payload], b"")
    assert whole.plan(b"\xff").payload == b'"/w=="'
    assert one(GoDuration, None).handler.arguments.schema()["properties"]["value"]["type"] == "integer"


def test_default_of_a_go_type_is_checked_at_import() -> None:
    with pytest.raises(OptionError, match="The default of 'value'"):
        one(GoDuration, None, default=1.5)


def test_times_of_go_keep_their_microseconds() -> None:
    arguments = one(datetime, None).handler.arguments

    read = arguments.read(b'{"value":"2030-01-02T03:04:05.123456789+02:00"}')["value"]
    assert (read.microsecond, read.utcoffset()) == (123456, timedelta(hours=2))
    assert arguments.read(b'{"value":"0001-01-01T00:00:00Z"}')["value"].year == 1
