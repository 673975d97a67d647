"""Values of a wrong type where an option, argument or name is expected: an error of ours, never one of Python's."""

import math
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from rota import Debounce, Retry, Rota, RotaError, Unique
from rota.client.delivery import Delivery
from rota.core.duration import parse
from rota.tasks.options import NAMES, Options, RunOptions, TaskOptions

VALUES: list[Any] = [
    None,
    5,
    -5,
    True,
    1.5,
    math.nan,
    math.inf,
    10**400,
    "",
    " ",
    "x",
    "1e400s",
    "a\0b",
    "\ud800",
    "{a.b",
    "{a:{a}}",
    b"x",
    bytearray(b"x"),
    [1],
    (),
    {"a": 1},
    {1: 2},
    set(),
    object(),
    int,
    print,
    datetime.max,
    date.max,
    Decimal("NaN"),
    ValueError,
    ValueError(),
    Retry(),
    Unique("1m"),
    Debounce("k", "1s"),
    Ellipsis,
    range(3),
    1j,
]


def attempt(make: Any, **words: Any) -> None:
    with suppress(RotaError):
        make(**words)


def work(a: int = 1) -> None: ...


@pytest.mark.parametrize("name", NAMES)
def test_option_of_a_call(name: str) -> None:
    for value in VALUES:
        attempt(Options.of, **{name: value})
        attempt(Rota().plan, type="test:loose", payload={"a": 1}, **{name: value})


@pytest.mark.parametrize("name", [*TaskOptions.__annotations__, *RunOptions.__annotations__])
def test_option_of_a_task(name: str) -> None:
    for value in VALUES:
        attempt(lambda **words: Rota().task("test:work", **words)(work), **{name: value})


@pytest.mark.parametrize("name", Retry.__slots__)
def test_option_of_a_retry_policy(name: str) -> None:
    for value in VALUES:
        attempt(Retry, **{name: value})


@pytest.mark.parametrize("name", Unique.__slots__)
def test_option_of_a_unique_policy(name: str) -> None:
    for value in VALUES:
        attempt(Unique, **{"ttl": "1m", name: value})


@pytest.mark.parametrize("name", Debounce.__slots__)
def test_option_of_a_debounce_policy(name: str) -> None:
    for value in VALUES:
        attempt(Debounce, **{"key": "k", "wait": "1s", name: value})


@pytest.mark.parametrize("name", ["url", "settings", "matching", "lifespan", "middleware", "enqueue_middleware"])
def test_argument_of_an_app(name: str) -> None:
    for value in VALUES:
        attempt(Rota, **{name: value})


@pytest.mark.parametrize("name", ["type", "group", "grace", "max_delay", "max_size"])
def test_option_of_an_aggregator(name: str) -> None:
    for value in VALUES:
        attempt(lambda **words: Rota().aggregator(**words)(lambda group, tasks: None), **{name: value})


@pytest.mark.parametrize("name", Delivery.__slots__)
def test_word_of_a_delivery(name: str) -> None:
    for value in VALUES:
        attempt(Delivery().updated, **{name: value})


def test_duration() -> None:
    for value in (*VALUES, 10**5000):  # Python refuses to write the last one
        attempt(parse, value=value)


def test_payload_by_name() -> None:
    app = Rota()
    app.task("test:work")(work)
    for value in VALUES:
        attempt(app.plan, type="test:work", payload=value)
        attempt(app.plan, type="test:loose", payload=value)
        attempt(app.plan, type=value)
