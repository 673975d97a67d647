"""What a function asks for."""

from typing import Annotated, Any

import pytest

from rota.errors import OptionError
from rota.tasks.context import Context
from rota.tasks.signature import INJECTED, Depends, Payload, read_raw_signature, read_signature


def mailer() -> str:
    return "mailer"


def test_parameters_are_sorted_by_where_they_come_from() -> None:
    async def welcome(
        ctx: Context, user_id: int, locale: str = "en", *, mail: Annotated[str, Depends(mailer)] = INJECTED
    ) -> str: ...

    signature = read_signature(welcome)

    assert [parameter.name for parameter in signature.parameters] == ["user_id", "locale"]
    assert signature.context_names == ("ctx",)
    assert signature.takes_context_first
    assert signature.dependencies == {"mail": mailer}
    assert signature.returns is str


def test_a_context_elsewhere_is_filled_too() -> None:
    async def welcome(user_id: int, ctx: Context = INJECTED) -> None: ...

    signature = read_signature(welcome)

    assert signature.context_names == ("ctx",)
    assert not signature.takes_context_first


@pytest.mark.parametrize("star", ["*args", "**kwargs", "a, /"])
def test_open_ended_parameters_are_refused(star: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def f({star}): ...", scope)

    with pytest.raises(OptionError, match=r"keyed by parameter name|by position only"):
        read_signature(scope["f"])


def test_a_whole_payload_leaves_nothing_for_others() -> None:
    def two(a: Annotated[dict[str, int], Payload], b: int) -> None: ...

    def twice(a: Annotated[dict[str, int], Payload], b: Annotated[bytes, Payload]) -> None: ...

    with pytest.raises(OptionError, match="nothing is left to fill b"):
        read_signature(two)
    with pytest.raises(OptionError, match="only one can be it"):
        read_signature(twice)


def test_an_annotation_that_cannot_be_read_is_explained() -> None:
    def f(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(OptionError, match="Import the names it uses at run time"):
        read_signature(f)


def test_depends_needs_a_function() -> None:
    with pytest.raises(OptionError, match="needs a function"):
        Depends("mailer")  # type: ignore[arg-type]

    def f(mail: Annotated[str, Depends]) -> None: ...

    with pytest.raises(OptionError, match="write Depends"):
        read_signature(f)
    assert repr(Depends(mailer)) == "Depends(mailer)"
    assert repr(INJECTED) == "INJECTED"


def test_a_raw_handler_takes_the_context_and_the_bytes_whatever_they_are_called() -> None:
    async def handler(c, data, *, mail: Annotated[str, Depends(mailer)]) -> None: ...  # type: ignore[no-untyped-def]

    signature = read_raw_signature(handler)

    assert signature.context_names == ("c",)
    assert signature.whole is not None
    assert signature.whole.name == "data"
    assert signature.dependencies == {"mail": mailer}
    assert signature.is_raw


def test_a_raw_handler_of_another_shape_is_refused() -> None:
    def short(ctx: Context) -> None: ...

    def typed(ctx: Context, payload: int) -> None: ...

    def more(ctx: Context, payload: bytes, third: int) -> None: ...

    with pytest.raises(OptionError, match="must take the context and the payload"):
        read_raw_signature(short)
    with pytest.raises(OptionError, match=r"use app.task for typed arguments"):
        read_raw_signature(typed)
    with pytest.raises(OptionError, match="Nothing fills 'third'"):
        read_raw_signature(more)


@pytest.mark.parametrize("default", [Depends(dict), Depends])
def test_depends_as_a_default_is_answered_with_the_right_annotation(default: Any) -> None:
    def work(x: int, db: dict[str, int] = default) -> None: ...

    with pytest.raises(OptionError, match=r"work has Depends as .*'db'.*db: Annotated\[dict\[str, int\], Depends\("):
        read_signature(work)
