"""What an app opens before its first task and closes after its last."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rota import OptionError, Rota

events: list[str] = []


@pytest.fixture(autouse=True)
def no_events() -> None:
    events.clear()


async def resources(app: Rota) -> AsyncGenerator[dict[str, str]]:
    events.append("open")
    await asyncio.sleep(0)
    yield {"pool": "p"}
    events.append("close")


async def test_the_state_is_there_inside_and_gone_outside() -> None:
    app = Rota(lifespan=resources)
    assert app.state is None

    async with app.lifespan_state() as state:
        assert state == app.state == {"pool": "p"}

    assert app.state is None
    assert events == ["open", "close"]


async def test_several_users_share_one_opening() -> None:
    app = Rota(lifespan=resources)

    async def use() -> Any:
        async with app.lifespan_state() as state:
            await asyncio.sleep(0)
            return state

    first, second = await asyncio.gather(use(), use())

    assert first is second
    assert events == ["open", "close"]


async def test_a_context_manager_factory_serves_as_well() -> None:
    app = Rota(lifespan=asynccontextmanager(resources))

    async with app.lifespan_state() as state:
        assert state == {"pool": "p"}


async def test_an_opening_that_fails_can_be_tried_again() -> None:
    tries: list[int] = []

    async def flaky(app: Rota) -> AsyncGenerator[str]:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not yet")
        yield "open"

    app = Rota(lifespan=flaky)
    with pytest.raises(OSError, match="not yet"):
        async with app.lifespan_state():
            pass

    async with app.lifespan_state() as state:
        assert state == "open"


async def test_a_web_server_gets_a_mapping_or_nothing() -> None:
    async def single(app: Rota) -> AsyncGenerator[str]:
        yield "one"

    async with Rota(lifespan=resources).lifespan(object()) as state:
        assert state == {"pool": "p"}
    app = Rota(lifespan=single)
    async with app.lifespan(object()) as state:
        assert state is None
        assert app.state == "one"
    async with Rota().lifespan() as state:
        assert state is None


async def test_a_lifespan_that_does_not_yield_once_is_named() -> None:
    async def skips(app: Rota) -> AsyncGenerator[None]:
        if app.registry:
            yield

    with pytest.raises(RuntimeError, match=r"^The lifespan .*skips ended without a yield"):
        async with Rota(lifespan=skips).lifespan_state():
            pass


def test_a_lifespan_that_is_no_function_is_refused() -> None:
    with pytest.raises(OptionError, match="async generator function that takes the app"):
        Rota(lifespan=5)  # type: ignore[arg-type]


def test_loops_that_follow_one_another_each_open_it_also_with_several_users() -> None:
    app = Rota(lifespan=resources)

    async def use() -> Any:
        async with app.lifespan_state() as state:
            await asyncio.sleep(0)
            return state

    async def several() -> list[Any]:
        return await asyncio.gather(*(use() for _ in range(5)))

    for _ in range(3):
        assert asyncio.run(several()) == [{"pool": "p"}] * 5
    assert events == ["open", "close"] * 3


def test_loops_of_several_threads_each_open_their_own() -> None:
    made: list[object] = []

    async def pool(app: Rota) -> AsyncGenerator[object]:
        made.append(asyncio.get_running_loop())
        yield asyncio.get_running_loop()

    app = Rota(lifespan=pool)
    together = threading.Barrier(4)

    async def use() -> None:
        async with app.lifespan_state() as state, app.lifespan_state() as again:
            await asyncio.to_thread(together.wait, 30)
            assert state is again is app.state is asyncio.get_running_loop()
            assert await asyncio.to_thread(lambda: app.state) in made

    faults: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(use())
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert faults == []
    assert len(set(made)) == 4
    assert app.state is None
