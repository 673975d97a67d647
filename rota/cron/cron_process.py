"""The event loop of a cron in blocking programs: in the main thread until a signal comes, or in a thread of its own."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from rota.errors import OptionError


def run_until_signal(main: Callable[[], Coroutine[Any, Any, None]], stop: Callable[[bool], object]) -> None:
    """Run a cron in this thread. The first SIGINT or SIGTERM calls `stop(False)`, and a second one `stop(True)`."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        seen = 0

        def on_signal() -> None:
            nonlocal seen
            seen += 1
            stop(seen > 1)

        signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        for each in signals:
            loop.add_signal_handler(each, on_signal)
        try:
            await main()
        finally:
            for each in signals:
                loop.remove_signal_handler(each)

    if _loop_runs():
        raise OptionError("cron.run() blocks, and this thread runs an event loop: write `async with cron:` instead.")
    asyncio.run(run())


def run_in_thread(main: Callable[["Future[None]"], Coroutine[Any, Any, None]]) -> None:
    """Run a cron in a daemon thread. Returns once it has called `set_result` of the future that it gets."""
    started: Future[None] = Future()

    def run() -> None:
        try:
            asyncio.run(main(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    threading.Thread(target=run, name="rota-cron", daemon=True).start()
    started.result()


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
