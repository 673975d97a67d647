"""Keeps errors of the application's log filters and handlers out of the worker.

`Logger.handle` lets the error of a filter through to the code that logs, and custom handlers can raise as well. In a
worker that code can be the one that stops it, records outcomes or fetches, and a failing filter would end it.
"""

import logging
import sys
import traceback
from collections.abc import Callable

Handle = Callable[[logging.LogRecord], None]


def contain() -> None:
    """Let every logger of Rota print such an error to standard error instead of raising it."""
    for name, logger in logging.root.manager.loggerDict.items():
        ours = name == "rota" or name.startswith("rota.")
        if ours and isinstance(logger, logging.Logger) and "handle" not in vars(logger):
            vars(logger)["handle"] = _contained(logger.handle)


def _contained(handle: Handle) -> Handle:
    def handle_contained(record: logging.LogRecord) -> None:
        try:
            handle(record)
        except Exception:
            if logging.raiseExceptions and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
                traceback.print_exc()

    return handle_contained
