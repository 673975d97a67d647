"""What a worker publishes about its task types: complete, bounded, and the same bytes in every process."""

import subprocess
import sys
from datetime import timedelta
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from typing_extensions import deprecated

from rota import Payload, Retry, Rota, Unique
from rota.errors import PayloadError
from rota.tasks import type_record
from rota.tasks.policy import Debounce
from rota.tasks.type_record import (
    MAX_BYTES,
    DebounceDefaults,
    PublishedTypes,
    RetryDefaults,
    TypeDefaults,
    TypeRecord,
    TypeRecords,
    UniqueDefaults,
    pack,
    published_types,
    unpack,
)


@pytest.fixture
def app() -> Rota:
    return Rota("redis://localhost:1")


def described(app: Rota) -> TypeRecords:
    return unpack(published_types(app.registry, app.registry.matching).data)


def only(app: Rota) -> TypeRecord:
    [record] = described(app).types
    return record


def later(retried: int, error: BaseException) -> str:
    return "5s"


def test_record_has_everything_about_a_task(app: Rota) -> None:
    @app.task(
        "mail:send",
        queue="mail",
        timeout="30s",
        retry=Retry(3, only=[TimeoutError], never=[PayloadError], delay=later),
        retention="1h",
        unique=Unique("10m", key="{user_id}", on_conflict="raise"),
        group="g",
        headers={"a": "b"},
        run="thread",
        concurrency=2,
    )
    def send(user_id: int, locale: str = "en") -> str:
        """Send the mail.

        With all attachments.
        """
        return ""

    record = only(app)

    assert (record.type, record.is_pattern, record.is_raw, record.deprecated) == ("mail:send", False, False, None)
    assert record.doc == "Send the mail.\n\nWith all attachments."
    assert record.summary == "Send the mail."
    assert record.source == f"{__name__}:test_record_has_everything_about_a_task.<locals>.send"
    assert record.notes == ()
    assert record.schema == {
        "title": "send",
        "type": "object",
        "properties": {
            "user_id": {"title": "User Id", "type": "integer"},
            "locale": {"title": "Locale", "type": "string", "default": "en"},
        },
        "required": ["user_id"],
    }
    assert record.defaults == TypeDefaults(
        queue="mail",
        timeout=timedelta(seconds=30),
        max_retry=3,
        retry=RetryDefaults(delay_by=f"{__name__}:later", only=("TimeoutError",), never=("rota.errors.PayloadError",)),
        retention=timedelta(hours=1),
        unique=UniqueDefaults(scope="ttl", ttl=timedelta(minutes=10), key="{user_id}", on_conflict="raise"),
        group="g",
        headers={"a": "b"},
        run="thread",
        concurrency=2,
    )


def test_task_without_options_has_the_defaults_that_an_enqueue_uses(app: Rota) -> None:
    @app.task("a:b")
    async def plain() -> None: ...

    record = only(app)

    assert record.defaults == TypeDefaults()
    assert (record.defaults.queue, record.defaults.max_retry) == ("default", 25)
    assert record.defaults.timeout == timedelta(minutes=30)
    assert (record.doc, record.summary) == ("", "")


def test_debounce_and_a_deprecated_function_are_shown(app: Rota) -> None:
    @app.task("index:user", debounce=Debounce("user-{user_id}", "30s", "5m"))
    @deprecated("Use index:account.")
    def index(user_id: int) -> None: ...

    record = only(app)

    wait, most = timedelta(seconds=30), timedelta(minutes=5)
    assert record.defaults.debounce == DebounceDefaults(key="user-{user_id}", wait=wait, max_wait=most)
    assert record.deprecated == "Use index:account."


def test_raw_handler_is_a_pattern_without_a_schema(app: Rota) -> None:
    @app.handler("mail:")
    async def any_mail(ctx: Any, payload: bytes) -> None:
        """Take any mail."""

    record = only(app)

    assert (record.is_raw, record.is_pattern, record.schema, record.notes) == (True, True, None, ())


class Order(BaseModel):
    number: int


def test_schema_of_a_whole_payload_is_that_of_its_model(app: Rota) -> None:
    @app.task("order:bill")
    def bill(order: Annotated[Order, Payload]) -> None: ...

    assert only(app).schema == Order.model_json_schema()


PROGRAM = """
from rota import Rota
from rota.tasks.type_record import published_types
from pydantic import BaseModel

class Model(BaseModel):
    names: frozenset[str] = frozenset({"one", "two", "three", "four"})

app = Rota("redis://localhost:1")

class Judge:
    def __call__(self, retried, error):
        return 5

from rota import Retry

@app.task("a:b", retry=Retry(5, delay=Judge()))
def task(model: Model, words: set[str] = {"a", "b", "c", "d"}) -> None: ...

print(published_types(app.registry).digest)
"""


def test_all_processes_publish_the_same_bytes_whatever_the_order_of_their_sets_and_their_addresses() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(digests) == 1


class Failing:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return {"type": "any"}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        sys.exit(f"nothing to see of {object()!r}")


def test_type_whose_schema_cannot_be_made_is_published_with_the_reason(app: Rota) -> None:
    @app.task("a:fails")
    def fails(thing: Failing) -> None: ...

    @app.task("a:works")
    def works(number: int) -> None: ...

    failed, worked = described(app).types

    assert failed.schema is None
    assert failed.notes == ("There is no JSON Schema of the arguments: nothing to see of <object object>.",)
    assert worked.schema is not None


def test_large_schema_and_long_docstring_are_left_out_with_a_note(app: Rota) -> None:
    @app.task("a:large")
    def large(number: Annotated[int, Field(description="x" * 5_000_000)]) -> None: ...

    large.handler.function.__doc__ = "y" * 5000
    record = only(app)

    assert record.schema is None
    assert record.doc == "y" * 4096
    assert record.notes[0].startswith("The schema is left out: it has 5000")
    assert record.notes[1] == "The docstring is cut: it has 5000 characters, more than 4096."


def records(number: int, **fields: Any) -> list[TypeRecord]:
    return [TypeRecord(type=f"t:{index:05}", **fields) for index in range(number)]


def assert_bounded(published: PublishedTypes) -> TypeRecords:
    assert len(published.data) <= MAX_BYTES
    return unpack(published.data)


def test_many_types_lose_their_schemas_first() -> None:
    read = assert_bounded(pack(records(200, doc="kept", schema={"title": "x" * 10_000})))

    assert read.omitted == 0
    assert all(each.schema is None and each.doc == "kept" and len(each.notes) == 1 for each in read.types)


def test_still_more_types_lose_their_docstrings_too() -> None:
    read = assert_bounded(pack(records(1000, doc="y" * 1000, schema={"title": "x"})))

    assert read.omitted == 0
    assert all(each.schema is None and each.doc == "" and len(each.notes) == 2 for each in read.types)


def test_types_that_do_not_fit_at_all_are_counted() -> None:
    huge = TypeRecord(type="a:huge", defaults=TypeDefaults(headers={"x": "y" * 2 * MAX_BYTES}))
    few = [TypeRecord(type="b:small"), TypeRecord(type="c:small")]

    read = assert_bounded(pack([huge, *few]))
    assert ([each.type for each in read.types], read.omitted) == (["b:small", "c:small"], 1)

    read = assert_bounded(pack(records(10_000)))
    assert len(read.types) > 1000
    assert len(read.types) + read.omitted == 10_000
    assert [each.type for each in read.types] == [f"t:{index:05}" for index in range(len(read.types))]


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"types": [{}]}', b'{"types": 1}'])
def test_bytes_that_are_not_a_record_are_reported(data: bytes) -> None:
    with pytest.raises(PayloadError, match="Not a record of task types"):
        unpack(data)


def test_record_of_a_newer_version_is_read_without_its_new_fields() -> None:
    data = b'{"types": [{"type": "a:b", "colour": "red", "defaults": {"queue": "q", "weight": 5}}], "more": 1}'
    assert unpack(data) == TypeRecords((TypeRecord(type="a:b", defaults=TypeDefaults(queue="q")),))


def test_durations_are_written_as_seconds(app: Rota) -> None:
    @app.task("a:b", timeout="90s")
    def task() -> None: ...

    assert b'"timeout":90.0' in published_types(app.registry).data
    assert type_record.published_types([]).data == b'{"types":[],"matching":"segments","omitted":0}'
