"""Types and values for the tests of what travels as JSON, and the ways in which it travels."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
)
from typing_extensions import TypedDict

from rota import Payload, Rota
from rota.tasks.task import Task

T = TypeVar("T")
BERLIN = ZoneInfo("Europe/Berlin")


def task_of(annotation: Any, **words: Any) -> Task[..., Any]:
    def act(value):  # type: ignore[no-untyped-def]
        return value

    act.__annotations__ = {"value": annotation, "return": annotation}
    return Rota().task("test:act", **words)(act)


def argument(annotation: Any, value: Any) -> Any:
    task = task_of(annotation)
    return task.handler.arguments.read(task.plan(value).payload)["value"]


def whole(annotation: Any, value: Any) -> Any:
    task = task_of(Annotated[annotation, Payload])
    return task.handler.arguments.read(task.plan(value).payload)["value"]


def result(annotation: Any, value: Any) -> Any:
    handler = task_of(annotation).handler
    return handler.result.read(handler.encode_result(value) or b"")


def named(part: object) -> str:
    return getattr(part, "__name__", type(part).__name__)


WAYS = pytest.mark.parametrize("way", [argument, whole, result])


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Size(StrEnum):
    BIG = "big"


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict, total=False):
    depth: int
    name: str


class User(BaseModel):
    name: str
    age: int = 0


class Admin(User):
    rights: list[str] = []


class Area(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int

    @computed_field
    @property
    def size(self) -> int:
        return self.width**2


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str] = []


class Tree(BaseModel):
    children: "list[Tree]" = []


class Box(BaseModel, Generic[T]):
    content: T


class Numbers(RootModel[list[int]]):
    pass


@dataclass
class Order:
    number: int
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Key:
    name: str


class Aliased(BaseModel):
    user_id: int = Field(alias="userId")


class Unmasked(BaseModel):
    token: SecretStr

    @field_serializer("token", when_used="json")
    def reveal(self, token: SecretStr) -> str:
        return token.get_secret_value()


class Masked(BaseModel):
    token: SecretStr


class Hidden(BaseModel):
    name: str
    token: str = Field(default="", exclude=True)


class Private(BaseModel):
    name: str = "a"
    _secret: int = PrivateAttr(default=0)


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made
