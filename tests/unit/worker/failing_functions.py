"""Functions that fail in a pool process, with errors that pickle alone does not carry."""

import asyncio
import sys

from rota.errors import RetryLater, Revoke, SkipRetry
from tests.unit.worker.process_functions import OwnError as OwnError


class Peculiar(Exception):
    """An error that cannot be made again from its arguments."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class KeywordOnly(Exception):
    """An error whose constructor takes no positional arguments."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Missing(SkipRetry):
    """A subclass of one of our own, with a constructor that pickle cannot repeat."""

    def __init__(self, table: str, row: int) -> None:
        super().__init__(f"no row {row} in {table}")


class TooEarly(RetryLater):
    def __init__(self, seconds: int, *, why: str) -> None:
        super().__init__(seconds, counts=False, reason=why)
        self.why = why


class Gone(Revoke):
    def __init__(self, *, what: str) -> None:
        super().__init__(what)


class Mute(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        raise ValueError("I do not speak")


class Exits(Exception):
    def __str__(self) -> str:
        sys.exit(3)


class Unreducible(ValueError):
    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("not me")


class Reduced(ValueError):
    """Pickle makes something else of it."""

    def __reduce__(self) -> tuple[object, ...]:
        return (KeyError, ("something else",))


class Slotted(Exception):
    __slots__ = ("code", "connection")

    def __init__(self, code: int) -> None:
        super().__init__("slotted")
        self.code = code
        self.connection = lambda: None


class OfSystem(OSError):
    def __init__(self, *, path: str) -> None:
        super().__init__(2, "No such thing", path)


class Picky(Exception):
    def __new__(cls, *, code: int) -> "Picky":
        return super().__new__(cls, code)

    def __init__(self, *, code: int) -> None:
        super().__init__(f"picky {code}")


class OwnGroup(ExceptionGroup[Exception]):
    pass


def fail_peculiarly() -> None:
    raise Peculiar(1, 2)


def leave_softly() -> None:
    sys.exit(7)


def raise_named(name: str, *args: object, **kwargs: object) -> None:
    raise globals()[name](*args, **kwargs)


def raise_local(name: str) -> None:
    """Raise an error whose class cannot be imported."""

    class Here(globals()[name]):  # type: ignore[misc]
        pass

    raise Here("5s", reason="local") if name == "RetryLater" else Here("local")


def raise_group(name: str, **kwargs: object) -> None:
    raise OwnGroup("several", [globals()[name](**kwargs), ValueError("plain")])


def raise_nested(name: str, levels: int) -> None:
    error: Exception = globals()[name](code=4)
    for _ in range(levels):
        error = ExceptionGroup("nested", [error])
    raise error


def raise_cancelled() -> None:
    raise asyncio.CancelledError("by itself")


def raise_with_cause() -> None:
    try:
        raise KeywordOnly(code=1)
    except KeywordOnly as error:
        error.connection = lambda: None  # type: ignore[attr-defined]
        raise OwnError("on top") from error


def raise_huge(name: str, characters: int) -> None:
    raise globals()[name]("x" * characters)


def fail_for_ever() -> None:
    raise KeywordOnly(code=1)


def fail_without_retry() -> None:
    raise Missing("users", 7)


def fail_quietly() -> None:
    raise Gone(what="it")


def fail_for_now() -> None:
    raise TooEarly(3600, why="night")
