"""Log records of tasks, and where the log lines of a worker go.

Logging that the app configures while it is imported takes precedence. The rules, in order:

1. Rota's own loggers are never disabled, and log at `--log-level` (without it, at the level that the app gave the
   logger `rota`, or `info`).
2. If the app gave the root logger a handler, its handlers and formats are used, and Rota does not add any.
3. Otherwise Rota prints to standard error the records that no handler of the app has taken.

So `set_up` is called after the app has been imported. A supervisor does not import the app, so its lines have Rota's
own format.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Literal

from rota.core.text import printable
from rota.tasks.context import peek

LogLevel = Literal["debug", "info", "warning", "error"]

LEVEL_HELP = "debug, info, warning or error; without it info, or what the app gave the logger `rota`."
_DEFAULT_LEVEL = "INFO"
_NO_TASK: Mapping[str, object] = {"task_id": "", "task_type": "", "queue": "", "attempt": ""}

_level: LogLevel | None = None
_is_set_up = False


class TaskLogFilter(logging.Filter):
    """Gives each record the `task_id`, `task_type`, `queue` and `attempt` of the task that logged it.

    `rota worker` adds it to the handlers of the root logger. Elsewhere add it to a handler, so that its formatter can
    name the fields: `handler.addFilter(TaskLogFilter())`, or `{"()": "rota.TaskLogFilter"}` in the `filters` of a
    `dictConfig`. Records made outside of a task have empty fields. A field that a record already has is kept.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; keep every record."""
        context, fields = peek(None), vars(record)
        known = task_fields(context.id, context.type, context.queue, context.retried) if context else _NO_TASK
        for name, value in known.items():
            fields.setdefault(name, value)
        return True


def task_fields(task_id: str, task_type: str, queue: str, retried: int) -> Mapping[str, object]:
    """Return the `extra` of a record about one task. A format may print the names, so they are escaped."""
    names = {"task_id": printable(task_id), "task_type": printable(task_type), "queue": printable(queue)}
    return {**names, "attempt": retried + 1}


def set_up(level: LogLevel | None) -> None:
    """Send log lines to standard error, unless the app sends them elsewhere."""
    global _level, _is_set_up
    _level, _is_set_up = level, True
    enable_loggers()
    rota, root = logging.getLogger("rota"), logging.getLogger()
    if level is not None or rota.level == logging.NOTSET:
        rota.setLevel(level.upper() if level else _DEFAULT_LEVEL)
    for handler in root.handlers:
        handler.addFilter(TaskLogFilter())
    if root.handlers:
        return
    root.addHandler(_handler())
    if level is not None or root.level == logging.WARNING:  # WARNING is what an untouched root logger has
        root.setLevel(level.upper() if level else _DEFAULT_LEVEL)


def in_use() -> tuple[LogLevel | None] | None:
    """Return the argument of `set_up` in this process, to repeat the call in a child. None if it was not called."""
    return (_level,) if _is_set_up else None


def enable_loggers() -> None:
    """Enable Rota's own loggers again, because a `dictConfig` of the app disables the loggers it does not name."""
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and (name == "rota" or name.startswith("rota.")):
            logger.disabled = False


def _handler() -> logging.Handler:
    if sys.stderr.isatty():
        from rich.console import Console  # imported late: child processes and programs that only enqueue skip it
        from rich.logging import RichHandler

        handler: logging.Handler = RichHandler(
            console=Console(stderr=True), show_path=False, rich_tracebacks=False, omit_repeated_times=False
        )
        handler.setFormatter(logging.Formatter("[%(process)d] %(message)s", datefmt="%H:%M:%S"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"))
    handler.addFilter(TaskLogFilter())
    handler.addFilter(_is_left)
    return handler


def _is_left(record: logging.LogRecord) -> bool:
    """Whether no handler below the root logger has taken the record."""
    logger = logging.getLogger(record.name)
    while logger.parent is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return False
        logger = logger.parent
    return True
