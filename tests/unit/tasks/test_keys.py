"""Unique and debounce keys: from the validated values and the defaults, in a fixed order, in every process the same."""

import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field, Json, RootModel

from rota import Debounce, OptionError, Payload, Plan, Rota, Unique
from rota.client.packing import lock_of
from rota.wire.keys import Keys, unique_key

QUEUE = Keys().queue("default")


class Colour(Enum):
    RED = "red"


class Size(StrEnum):
    BIG = "big"


class Level(IntEnum):
    LOW = 1


class Order(BaseModel):
    id: int
    tags: set[str] = set()
    extra: dict[str, Any] = {}


class Names(RootModel[set[str]]):
    pass


class Counts(RootModel[dict[str, int]]):
    pass


@dataclass
class Point:
    x: int
    marks: frozenset[str] = frozenset()


def lock(plan: Plan[Any]) -> str:
    return lock_of(QUEUE, plan)


def key_of(annotation: Any, value: Any, key: str = "{value}", **more: Any) -> str | None:
    def act(value, other="x"):  # type: ignore[no-untyped-def]
        return value

    act.__annotations__ = {"value": annotation}
    unique = Rota().task("test:act", unique=Unique("1m", key=key))(act).plan(value, **more).options.unique
    assert unique is not None
    return unique.key


@pytest.mark.parametrize(
    ("annotation", "values", "key"),
    [
        (Colour, [Colour.RED, "red"], "red"),
        (Size, [Size.BIG, "big"], "big"),
        (Level, [Level.LOW, 1], "1"),
        (int, [1, 1.0, True, "1", Level.LOW], "1"),
        (float, [1, 1.0, True, "1"], "1.0"),
        (bool, [True, 1, "yes"], "True"),
        (datetime, [datetime(2030, 1, 1, tzinfo=UTC), "2030-01-01T00:00:00Z", 1893456000], "2030-01-01T00:00:00Z"),
        (datetime, [datetime(2030, 1, 1, tzinfo=ZoneInfo("UTC")), "2030-01-01 00:00:00+00:00"], "2030-01-01T00:00:00Z"),
        (UUID, [UUID(int=10), str(UUID(int=10)).upper(), UUID(int=10).hex], "00000000-0000-0000-0000-00000000000a"),
        (Decimal, [Decimal("1.5"), "1.5", 1.5], "1.5"),
        (set[str], [{"a", "b", "c"}, ["c", "b", "a"], frozenset("bca")], '["a","b","c"]'),
        (dict[str, int], [{"a": 1, "b": 2}, {"b": 2, "a": 1}], '{"a":1,"b":2}'),
        (list[int], [[2, 1], (2, 1), ["2", "1"]], "[2,1]"),
        (int | None, [None], "None"),
        (Order, [Order(id=1), {"id": "1"}], '{"id":1,"tags":[],"extra":{}}'),
    ],
)
def test_key_is_the_same_for_all_forms_of_one_value(annotation: Any, values: list[Any], key: str) -> None:
    assert {key_of(annotation, value) for value in values} == {key}


def test_key_takes_fields_formats_and_defaults() -> None:
    assert key_of(Order, {"id": 7}, "{value.id}-{other}") == "7-x"
    assert key_of(Order, {"id": 7, "tags": ["b", "a"]}, "{value.tags}") == '["a","b"]'
    assert key_of(Order, {"id": 7, "tags": ["b", "a"]}, "{value.tags!s}") == '["a","b"]'
    assert key_of(datetime, "2030-01-02T03:04:05Z", "{value:%Y-%m-%d}") == "2030-01-02"
    assert key_of(list[int], [5, 6], "{value[1]}", other="y") == "6"
    assert key_of(int, 7, "{{{value}}}") == "{7}"


def test_key_by_name_is_the_key_by_type() -> None:
    app = Rota()

    @app.task("test:act", unique=Unique("1m", key="{order.id}-{at}-{locale}"))
    def act(order: Order, at: datetime, locale: str = "en") -> None: ...

    at = datetime(2030, 1, 1, tzinfo=UTC)
    plans = [
        act.plan(Order(id=1), at),
        act.plan_of({"order": {"id": "1"}, "at": "2030-01-01T00:00:00Z"}),
        app.plan("test:act", {"order": Order(id=1), "at": at}),
        app.plan("test:act", b'{"at":1893456000,"order":{"id":1}}'),
    ]

    assert {plan.options.unique.key for plan in plans if plan.options.unique} == {"1-2030-01-01T00:00:00Z-en"}


def test_key_of_a_type_that_is_not_registered_is_filled_from_its_json() -> None:
    unique = Unique("1m", key="{user_id}-{at}")
    payload = {"user_id": 7, "at": datetime(2030, 1, 1, tzinfo=UTC)}

    for given in (payload, b'{"user_id":7,"at":"2030-01-01T00:00:00Z"}'):
        bound = Rota().plan("x:y", given, unique=unique).options.unique
        assert bound is not None
        assert bound.key == "7-2030-01-01T00:00:00Z"
    debounced = Rota().plan("x:y", payload, debounce=Debounce("{user_id}", "1s")).options.debounce
    assert debounced is not None
    assert debounced.key == "7"
    with pytest.raises(OptionError, match="names no argument"):
        Rota().plan("x:y", {}, unique=unique)
    with pytest.raises(OptionError, match="its payload is not a JSON object"):
        Rota().plan("x:y", b"\xff", unique=unique)


def test_key_of_a_debounce_is_filled_from_the_validated_values() -> None:
    @Rota().task("test:act")
    def act(colour: Colour, size: int = 1) -> None: ...

    joined = act.debounce("{colour}-{size}", "1s")

    assert {joined.plan(value).options.debounce.key for value in (Colour.RED, "red")} == {"red-1"}  # type: ignore[union-attr, arg-type]


def test_argument_without_a_text_of_its_own_cannot_be_in_a_key() -> None:
    class Opaque:
        pass

    with pytest.raises(OptionError, match="An object of the type Opaque has no text of its own"):
        Unique("1m", key="{value}").bound({"value": Opaque()})


# The lock of a payload


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (set[str], [{"a", "b", "c"}, ["c", "a", "b"]]),
        (dict[str, int], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]),
        (Any, [{"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}]),
        (list[dict[str, set[int]]], [[{"a": {8, 0}, "b": set()}], [{"b": set(), "a": {0, 8}}]]),
        (Order, [{"id": 1, "tags": ["x", "y"], "extra": {"a": 1, "b": 2}},
                 {"extra": {"b": 2, "a": 1}, "tags": ["y", "x"], "id": "1"}]),
        (Names, [Names({"a", "b", "c"}), ["c", "a", "b"]]),
        (list[Counts], [[Counts({"a": 1, "b": 2})], [{"b": 2, "a": 1}]]),
        (Json[dict[str, int]], ['{"a":1,"b":2}', '{"b":2,"a":1}']),
        (Json[Order], ['{"id":1,"extra":{"a":1,"b":2}}', '{"extra":{"b":2,"a":1},"id":1}']),
        (Point, [Point(1, frozenset("ab")), {"marks": ["b", "a"], "x": 1}]),
        (Colour, [Colour.RED, "red"]),
        (float, [1, 1.0, True]),
        (datetime, [datetime(2030, 1, 1, tzinfo=UTC), 1893456000]),
    ],
)  # fmt: skip
def test_lock_of_a_payload_is_the_same_for_equal_arguments(annotation: Any, values: list[Any]) -> None:
    def act(value, other="x"):  # type: ignore[no-untyped-def]
        return value

    act.__annotations__ = {"value": annotation}
    task = Rota().task("test:act", unique="1m")(act)

    locks = {
        lock(plan) for value in values for plan in (task.plan(value), task.plan_of({"other": "x", "value": value}))
    }

    assert len(locks) == 1


def test_lock_is_that_of_the_payload_as_go_writes_it() -> None:
    @Rota().task("test:act", unique="1m")
    def act(order: Order, limits: dict[str, int]) -> None: ...

    plan = act.plan(Order(id=1, tags={"b", "a"}), {"z": 1, "a": 2})

    assert plan.payload == b'{"order":{"id":1,"tags":["a","b"],"extra":{}},"limits":{"a":2,"z":1}}'
    assert lock(plan) == unique_key(QUEUE, "test:act", plan.payload)


def test_whole_payload_is_put_into_order_too() -> None:
    @Rota().task("test:act", unique="1m")
    def act(order: Annotated[Order, Payload]) -> None: ...

    assert act.plan(Order(id=1, tags={"b", "a"})).payload == b'{"id":1,"tags":["a","b"],"extra":{}}'


def test_ordered_dict_keeps_its_order_because_that_is_part_of_its_value() -> None:
    @Rota().task("test:act", unique="1m")
    def act(value: OrderedDict[str, int]) -> None: ...

    assert act.plan(OrderedDict(b=1, a=2)).payload == b'{"value":{"b":1,"a":2}}'


def test_model_with_aliases_is_put_into_order() -> None:
    class Aliased(BaseModel):
        all_tags: set[str] = Field(alias="allTags")

    @Rota().task("test:act", unique="1m")
    def act(value: Aliased) -> None: ...

    assert act.plan(Aliased(allTags={"b", "a", "c"})).payload == b'{"value":{"allTags":["a","b","c"]}}'


def test_payload_by_name_is_put_into_order_below_its_own_keys() -> None:
    plan = Rota().plan("x:y", {"b": {"z": 1, "a": 2}, "a": {"y", "x"}}, unique="1m")

    assert plan.payload == b'{"b":{"a":2,"z":1},"a":["x","y"]}'


PROGRAM = """
from pydantic import Json, RootModel
from rota import Rota, Unique
from rota.client.packing import lock_of
from rota.wire.keys import Keys
app = Rota()
@app.task("test:act", unique="1m")
def act(tags: set[str], more: dict[str, set[str]]) -> None: ...
@app.task("test:keyed", unique=Unique("1m", key="{tags}"))
def keyed(tags: set[str]) -> None: ...
@app.task("test:root", unique="1m")
def root(tags: RootModel[set[str]], more: Json[set[str]]) -> None: ...
tags = {"red", "green", "blue", "white", "black"}
queue = Keys().queue("default")
print(lock_of(queue, act.plan(tags, {"a": tags})))
print(lock_of(queue, keyed.plan(tags)))
print(lock_of(queue, root.plan(tags, '["red","green","blue"]')))
print(lock_of(queue, app.plan("x:y", {"tags": tags}, unique="1m")))
"""


def test_locks_are_the_same_in_every_process() -> None:
    # PYTHONHASHSEED decides in which order a set of texts comes.
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(outputs) == 1
