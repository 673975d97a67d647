"""Ends the process after its worker has ended, if the interpreter does not exit by itself.

The interpreter waits without a limit for threads that are not daemons, for functions in `asyncio.to_thread`, and for
coroutines that catch every cancellation. No outcome that the worker has to record depends on them.
"""

import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

from rota import events
from rota.errors import ConfigError

EXIT_SECONDS = 3.0
"""How long the exit of the interpreter may take after the worker has ended."""


@contextmanager
def exit_limit(seconds: float = EXIT_SECONDS) -> Generator[None]:
    """Limit the time in which the process exits after the block, then exit.

    The exit code is 0, 2 if the block raised ConfigError, or 1 if it raised another error.
    """
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        threading.Thread(target=_exit, args=(seconds, failure), name="rota-exit", daemon=True).start()


def _exit(seconds: float, failure: BaseException | None) -> None:
    time.sleep(seconds)
    with suppress(Exception):
        events.emit(events.ExitForced(seconds=seconds, running=_what_runs(), error=failure))
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0 if failure is None else 2 if isinstance(failure, ConfigError) else 1)


def _what_runs() -> str:
    threads = [
        thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()
    ]
    if not threads:
        return "A coroutine that catches its cancellation, or an exit handler, does not end."
    return f"Threads that are not daemons do not end: {', '.join(thread.name for thread in threads)}."
