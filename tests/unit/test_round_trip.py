"""What is written reads back to an equal value with the same function, or is refused: arguments and results alike."""

import collections
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    field_serializer,
    field_validator,
)

from rota import PayloadError
from tests.unit.typed_values import (
    BERLIN,
    WAYS,
    Admin,
    Aliased,
    Area,
    Box,
    Cat,
    Colour,
    Dog,
    Hidden,
    Key,
    Level,
    Masked,
    Numbers,
    Options,
    Order,
    Point,
    Private,
    Size,
    Tree,
    Unmasked,
    User,
    argument,
    named,
    nested,
    result,
    task_of,
    whole,
)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 10**400),
        (int, -(2**70)),
        (float, 1e308),
        (float, 5e-324),
        (str, "ä\x00\U0001f600"),
        (Decimal, Decimal("1.10")),
        (Decimal, Decimal("-0E+5")),
        (Fraction, Fraction(1, 3)),
        (complex, 1 + 2j),
        (set[str], {"a", "b"}),
        (frozenset[int], frozenset({3, 1})),
        (set[Key], {Key("a")}),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2)),
        (collections.deque[int], collections.deque([1, 2])),
        (Sequence[int], [1, 2]),
        (Mapping[str, int], {"a": 1}),
        (collections.OrderedDict[str, int], collections.OrderedDict(b=1, a=2)),
        (collections.Counter[str], collections.Counter("aab")),
        (dict[int, str], {1: "a"}),
        (dict[bool, int], {True: 1}),
        (dict[date, int], {date(2030, 1, 1): 1}),
        (dict[UUID, int], {UUID(int=1): 1}),
        (dict[Colour, int], {Colour.RED: 1}),
        (datetime, datetime(2030, 1, 1, 12, 30, 0, 1)),
        (datetime, datetime(2030, 1, 1, tzinfo=UTC)),
        (datetime, datetime(2030, 7, 1, tzinfo=BERLIN)),
        (datetime, datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=-9, minutes=-30)))),
        (datetime, datetime.max),
        (date, date.min),
        (time, time(1, 2, 3, 4, tzinfo=UTC)),
        (timedelta, timedelta.max),
        (timedelta, timedelta.min),
        (timedelta, timedelta(microseconds=-1)),
        (UUID, UUID(int=2**127)),
        (Path, Path("a/b")),
        (PurePosixPath, PurePosixPath("/a")),
        (ipaddress.IPv4Address, ipaddress.IPv4Address("10.0.0.1")),
        (ipaddress.IPv6Network, ipaddress.IPv6Network("fe80::/10")),
        (re.Pattern[str], re.compile("a+")),
        (Colour, Colour.RED),
        (Level, Level.LOW),
        (Size, Size.BIG),
        (Literal["a", 1, True, None], True),
        (Point, Point(1)),
        (Options, {"depth": 1}),
        (User, User(name="Ada")),
        (Admin, Admin(name="Ada", rights=["all"])),
        (User | Admin, Admin(name="Ada", rights=["all"])),
        (Area, Area(width=3)),
        (Tree, Tree(children=[Tree(), Tree(children=[Tree()])])),
        (Box[int], Box[int](content=1)),
        (Box[Box[date]], Box[Box[date]](content=Box[date](content=date(2030, 1, 1)))),
        (Numbers, Numbers([1, 2])),
        (Order, Order(1, ["a"])),
        (Annotated[Cat | Dog, Field(discriminator="kind")], Dog(tricks=["sit"])),
        (Cat | Dog, Dog()),
        (int | str | float | bool, True),
        (int | str | float | bool, 1),
        (int | str | float | bool, 1.0),
        (int | str | float | bool, "1"),
        (list[int | str], [1, "1"]),
        (int | None, None),
        (Any, {"a": [1, 1.5, None, True, "x"]}),
        (Aliased, Aliased(userId=1)),
        (Unmasked, Unmasked(token=SecretStr("s"))),
        (Annotated[SecretStr, PlainSerializer(SecretStr.get_secret_value)], SecretStr("s")),
        (Annotated[str, StringConstraints(to_lower=True, strip_whitespace=True)], "a"),
    ],
    ids=named,
)
@WAYS
def test_value_arrives_equal(way: Callable[[Any, Any], Any], annotation: Any, value: Any) -> None:
    there = way(annotation, value)

    assert there == value
    assert type(there) is type(value)


@WAYS
def test_tuple_arrives_as_a_list_where_any_sequence_may(way: Callable[[Any, Any], Any]) -> None:
    assert way(Sequence[int], (1, 2)) == [1, 2]
    assert way(list[Sequence[int]], [(1, 2)]) == [[1, 2]]


def test_bytes_arrive_as_they_are_alone_and_as_text_in_json() -> None:
    assert whole(bytes, b"\xff") == result(bytes, b"\xff") == b"\xff"
    assert argument(bytes, "ä".encode()) == "ä".encode()
    with pytest.raises(PayloadError, match="cannot be written as JSON: invalid utf-8"):
        argument(bytes, b"\xff")


def test_datetime_in_the_repeated_hour_arrives_at_the_same_instant() -> None:
    # `==` between zones is always false in that hour.
    for fold in (0, 1):
        value = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=fold)
        assert argument(datetime, value).timestamp() == value.timestamp()


def test_json_arguments_arrive_parsed_once() -> None:
    task = task_of(Json[list[int]])

    assert task.handler.arguments.read(task.plan("[1, 2]").payload) == {"value": [1, 2]}


def test_iterable_arrives_with_all_items() -> None:
    assert list(argument(Iterable[int], [1, 2])) == [1, 2]
    assert list(argument(Iterable[int], iter([1, 2]))) == [1, 2]
    with pytest.raises(PayloadError):
        argument(Iterable[float], [float("nan")])


class OneWay(BaseModel):
    user_id: int = Field(validation_alias="userId")


class OtherWay(BaseModel):
    user_id: int = Field(serialization_alias="userId")


class Growing(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def grow(cls, number: int) -> int:
        return number + 1


class Lossy(BaseModel):
    at: datetime

    @field_serializer("at")
    def cut(self, at: datetime) -> str:
        return at.date().isoformat()


class Plain:
    def __init__(self, number: int = 0) -> None:
        self.number = number


def marked(secret: int) -> Private:
    made = Private()
    made._secret = secret
    return made


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, float("nan")),
        (float, float("inf")),
        (float | None, float("-inf")),
        (list[float], [1.0, float("nan")]),
        (dict[str, float], {"a": float("inf")}),
        (Any, float("nan")),
        (Any, {"a": [float("inf")]}),
        (Masked, Masked(token=SecretStr("s"))),
        (list[Masked], [Masked(token=SecretStr("s"))]),
        (Any, SecretStr("s")),
        (User, Admin(name="Ada", rights=["all"])),
        (list[User], [Admin(name="Ada")]),
        (Hidden, Hidden(name="a", token="t")),
        (Private, marked(7)),
        (OneWay, OneWay(userId=1)),
        (OtherWay, OtherWay(user_id=1)),
        (Growing, Growing(number=1)),
        (Annotated[int, AfterValidator(lambda value: value + 1)], 1),
        (Annotated[str, BeforeValidator(lambda value: f"<{value}>")], "a"),
        (Lossy, Lossy(at=datetime(2030, 1, 1, 12))),
        (dict[tuple[int, int], str], {(1, 2): "a"}),
        (dict[str | None, str], {None: "a"}),
        (dict[int | str, int], {1: 1}),
        (Any, {None: 1}),
        (Any, {(1, 2): 1}),
        (Any, {1: 1}),
        (Any, (1, 2)),
        (Any, {1, 2}),
        (Any, datetime(2030, 1, 1)),
        (Any, UUID(int=1)),
        (Any, Decimal(1)),
        (Any, Colour.RED),
        (Any, Point(1)),
        (Any, User(name="a")),
        (Any, Order(1)),
        (Any, b"a"),
        (Any, object()),
        (str | bytes, b"a"),
        (str, "\ud800"),
        (Any, nested(250)),
        (Any, nested(5000)),
        (list[Any], nested(250)),
        (int, 10**5000),
        (Any, 10**5000),
        (datetime, datetime(1800, 1, 1, tzinfo=BERLIN)),
        (re.Pattern[str], re.compile("a", re.IGNORECASE)),
        (Cat | User, User.model_construct(name="a", age="old")),
    ],
    ids=named,
)
@WAYS
def test_value_that_would_arrive_changed_is_refused(
    way: Callable[[Any, Any], Any], annotation: Any, value: Any
) -> None:
    with pytest.raises(PayloadError):
        way(annotation, value)


def test_object_without_equality_is_compared_by_its_attributes() -> None:
    def read(value: Any) -> Plain:
        return value if isinstance(value, Plain) else Plain(int(value))

    def annotated(write: Callable[[Plain], int]) -> Any:
        return Annotated[Plain, BeforeValidator(read), PlainSerializer(write)]

    class Anything(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        value: annotated(lambda plain: plain.number)  # type: ignore[valid-type]

    class Zero(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        value: annotated(lambda plain: 0)  # type: ignore[valid-type]

    assert argument(Anything, Anything(value=3)).value.number == 3
    with pytest.raises(PayloadError, match=r"value.value.number"):
        argument(Zero, Zero(value=3))


def test_validator_that_breaks_on_its_own_output_is_named() -> None:
    def half(value: Any) -> str:
        if not isinstance(value, int):
            raise KeyError(value)
        return str(value // 2)

    with pytest.raises(PayloadError, match=r"would be refused by the worker.*KeyError"):
        argument(Annotated[str, BeforeValidator(half)], 4)


def test_refusal_names_the_path_and_the_cause_but_no_secret() -> None:
    with pytest.raises(
        PayloadError, match=r"arguments of .*act would arrive changed: value.token: a SecretStr"
    ) as info:
        argument(Masked, Masked(token=SecretStr("hush")))
    assert "hush" not in str(info.value)
    with pytest.raises(PayloadError, match=r"value.0: Admin is read back as User"):
        argument(list[User], [Admin(name="Ada")])
    with pytest.raises(PayloadError, match=r"value.a: the key 1 is read back as a text.*or annotate .*dict\[int, "):
        argument(dict[str, Any], {"a": {1: "x"}})
    with pytest.raises(PayloadError, match=r"value: the key None is read back as a text, .* Use texts.$"):
        argument(Any, {None: 1})
    with pytest.raises(PayloadError, match=r"value: JSON has no inf"):
        argument(float | None, float("inf"))
    with pytest.raises(PayloadError, match=r"result of .*act would arrive changed: 1: tuple is read back as list"):
        result(Any, [1, (2,)])
