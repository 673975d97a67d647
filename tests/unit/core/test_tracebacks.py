"""Tracebacks as text: of the user's code, without frames of ours, bounded, whatever the error does."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import pytest

import rota
from rota import INJECTED, Context, Depends, Retry, Rota
from rota.core.tracebacks import MOST_FRAMES, last_lines, text_of
from rota.errors import PayloadError
from rota.tasks.context import blank


async def around(context: Context) -> AsyncGenerator[None]:
    yield


async def resource() -> AsyncIterator[int]:
    yield 1


def deeper() -> NoReturn:
    raise LookupError("no template")


app = Rota(middleware=[around, around])


@app.task("trace:it")
async def task(number: int, injected: Annotated[int, Depends(resource)] = INJECTED) -> None:
    async with asyncio.TaskGroup():
        if number == 1:
            deeper()
        await other.enqueue("not a number")  # type: ignore[arg-type]


@app.task("trace:other")
def other(number: int) -> None:
    raise NotImplementedError


async def error_of(payload: Any) -> BaseException:
    """Return the error of the task as the worker gets it: without a frame of this function."""
    handler = app.find_handler("trace:it")
    assert handler is not None
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        await handler.invoke(blank("trace:it"), payload, None)
    trace = caught.value.__traceback__
    return caught.value.with_traceback(trace.tb_next if trace is not None else None)


def error_from(function: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        function()
    return caught.value


def frames(text: str) -> list[str]:
    return [
        line.split(", ")[-1].removeprefix("in ") for line in text.splitlines() if line.lstrip(" |").startswith("File")
    ]


async def test_frames_of_rota_are_left_out_also_between_those_of_the_user() -> None:
    text = text_of(await error_of(b'{"number": 1}'))

    assert "LookupError: no template" in text
    assert "deeper" in frames(text)
    assert "/rota/handler.py" not in text
    assert "/rota/middleware.py" not in text
    assert "contextlib.py" not in text


async def test_an_error_that_rota_raises_on_purpose_ends_at_the_line_of_the_user_and_has_no_causes_of_ours() -> None:
    text = text_of(await error_of(b'{"number": 2}'))

    assert "await other.enqueue" in text
    assert "rota.errors.PayloadError" in text
    assert "pydantic" not in text.replace("errors.pydantic.dev", "")
    assert f"{Path(rota.__file__).parent}/" not in text  # a clone may lie in another folder named rota


async def test_an_error_without_a_frame_of_the_user_has_no_traceback() -> None:
    error = await error_of(b"[]")

    assert isinstance(error, PayloadError)
    assert text_of(error) == ""
    assert text_of(TimeoutError("never raised")) == ""


def test_a_fault_of_ours_keeps_its_frames() -> None:
    wrong: Any = "not a number"

    assert "/rota/policy.py" in text_of(error_from(lambda: Retry().next_delay(wrong, ValueError())))


def test_causes_contexts_and_groups_are_shown() -> None:
    def chain() -> NoReturn:
        try:
            deeper()
        except LookupError as error:
            raise ExceptionGroup("several", [ValueError("one"), KeyError("two")]) from error

    text = text_of(error_from(chain))
    assert "LookupError: no template" in text
    assert "direct cause" in text
    assert "ValueError: one" in text
    assert "KeyError: 'two'" in text


class Departing(Exception):
    def __str__(self) -> str:
        sys.exit(1)

    __repr__ = __str__


class Noted(Exception):
    @property
    def __notes__(self) -> NoReturn:
        raise SystemExit


@pytest.mark.parametrize("kind", [Departing, Noted])
def test_an_error_whose_own_code_fails_has_a_traceback_all_the_same(kind: type[Exception]) -> None:
    def fail() -> NoReturn:
        raise kind

    assert kind.__name__ in text_of(error_from(fail))


@pytest.mark.parametrize("most", [100, 1000, 8192])
def test_a_long_traceback_is_cut_in_its_middle(most: int) -> None:
    def fail() -> NoReturn:
        raise ValueError("ü" * 10_000 + " the end")

    text = text_of(error_from(fail), most)
    assert len(text.encode()) <= most
    assert text.startswith("Traceback (most")
    assert "bytes are left out" in text
    assert text.endswith(" the end")


@pytest.mark.parametrize("most", [0, 9, 10, 11, 15, 100])
def test_last_lines_are_whole_and_fit(most: int) -> None:
    lines = ["ä1", "ä2", "ä3", "ä4"]
    kept = last_lines("\n".join(lines), most)
    assert len(kept.encode()) <= most
    assert kept == "" or kept.split("\n") == lines[-len(kept.split("\n")) :]


def test_of_a_deep_recursion_the_innermost_frames_are_shown() -> None:
    def down(depth: int) -> Any:
        return down(depth + 1) if depth < 500 else deeper()

    text = text_of(error_from(lambda: down(0)))
    assert frames(text)[-1] == "deeper"
    assert len(frames(text)) <= MOST_FRAMES
