"""Errors that go from a pool process to its worker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from rota.errors import RetryLater, Revoke, SkipRetry, leaves
from rota.tasks.context import blank
from rota.worker.run.process_pool import ProcessPool
from tests.unit.worker import failing_functions as functions


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(1)
    yield pool
    await pool.aclose()


ERRORS: list[tuple[type[BaseException], Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (functions.Peculiar, functions.fail_peculiarly, (), {}, "1 and 2"),
    (functions.KeywordOnly, functions.raise_named, ("KeywordOnly",), {"code": 4}, "code 4"),
    (functions.Missing, functions.raise_named, ("Missing", "users", 7), {}, "no row 7 in users"),
    (functions.TooEarly, functions.raise_named, ("TooEarly", 60), {"why": "night"}, "night"),
    (functions.Gone, functions.raise_named, ("Gone",), {"what": "it"}, "it"),
    (functions.Unreducible, functions.raise_named, ("Unreducible", "a", 1), {}, "('a', 1)"),
    (functions.Reduced, functions.raise_named, ("Reduced", "a"), {}, "a"),
    (functions.Slotted, functions.raise_named, ("Slotted", 4), {}, "slotted"),
    (functions.OfSystem, functions.raise_named, ("OfSystem",), {"path": "/x"}, "[Errno 2] No such thing: '/x'"),
    (functions.Picky, functions.raise_named, ("Picky",), {"code": 4}, "picky 4"),
    (functions.OwnError, functions.raise_with_cause, (), {}, "on top"),
    (SkipRetry, functions.raise_local, ("SkipRetry",), {}, "local"),
    (RetryLater, functions.raise_local, ("RetryLater",), {}, "local"),
    (Revoke, functions.raise_local, ("Revoke",), {}, "local"),
    (SystemExit, functions.leave_softly, (), {}, "7"),
]


async def test_an_error_keeps_its_class_and_its_text(pool: ProcessPool) -> None:
    for kind, function, args, kwargs, text in ERRORS:
        with pytest.raises(kind) as caught:
            await pool.call(blank(), function, args, kwargs)
        assert str(caught.value) == text
    assert pool.statistics().died == 0


async def test_an_error_keeps_what_its_class_knows(pool: ProcessPool) -> None:
    with pytest.raises(functions.TooEarly) as early:
        await pool.call(blank(), functions.raise_named, ("TooEarly", 60), {"why": "night"})
    assert (early.value.delay, early.value.counts, early.value.why) == (60, False, "night")
    with pytest.raises(functions.Slotted) as slotted:
        await pool.call(blank(), functions.raise_named, ("Slotted", 4))
    assert slotted.value.code == 4
    with pytest.raises(functions.OfSystem) as of_system:
        await pool.call(blank(), functions.raise_named, ("OfSystem",), {"path": "/x"})
    assert (of_system.value.errno, of_system.value.filename) == (2, "/x")


async def test_a_local_error_keeps_its_name(pool: ProcessPool) -> None:
    with pytest.raises(functions.OwnError) as caught:
        await pool.call(blank(), functions.raise_local, ("OwnError",))
    assert type(caught.value).__name__ == "Here"


async def test_an_error_whose_text_cannot_be_read_keeps_its_class_and_its_process(pool: ProcessPool) -> None:
    for name in ("Mute", "Exits"):
        with pytest.raises(getattr(functions, name)):
            await pool.call(blank(), functions.raise_named, (name,))
    assert pool.statistics().died == 0
    assert pool.statistics().processes == 1


async def test_the_errors_of_a_group_keep_their_classes(pool: ProcessPool) -> None:
    with pytest.raises(functions.OwnGroup, match="several") as caught:
        await pool.call(blank(), functions.raise_group, ("KeywordOnly",), {"code": 4})
    first, second = caught.value.exceptions
    assert isinstance(first, functions.KeywordOnly)
    assert first.code == 4
    assert isinstance(second, ValueError)


async def test_groups_in_groups_keep_the_errors_in_them_however_deep_they_are(pool: ProcessPool) -> None:
    for levels in (3, 5000):
        with pytest.raises(ExceptionGroup, match="nested") as caught:
            await pool.call(blank(), functions.raise_nested, ("KeywordOnly", levels))
        [error] = leaves(caught.value)
        assert isinstance(error, functions.KeywordOnly)
    assert pool.statistics().died == 0


async def test_a_function_that_raises_a_cancel_of_its_own_keeps_its_process(pool: ProcessPool) -> None:
    with pytest.raises(asyncio.CancelledError, match="by itself"):
        await pool.call(blank(), functions.raise_cancelled)
    assert pool.statistics().killed == 0
    assert pool.statistics().processes == 1


async def test_a_huge_text_of_an_error_is_cut(pool: ProcessPool) -> None:
    for name in ("OwnError", "Unreducible"):
        with pytest.raises(getattr(functions, name), match="xxx") as caught:
            await pool.call(blank(), functions.raise_huge, (name, 50_000_000))
        assert len(str(caught.value)) < 100_000
        assert len("".join(caught.value.__notes__)) < 100_000
