"""Log records of tasks, and where the log lines of a worker go.

Logging that the app configures while it is imported takes precedence. The rules, in order:

1. Rota's own loggers are never disabled, and log at `--log-level` (without it, at the level that the app gave the
   logger `rota`, or `info`).
2. If the app gave the root logger a handler, its handlers and formats are used, and Rota does not add any.
3. Otherwise Rota prints to standard error the records that no handler of the app has taken.

So `set_up` is called after the app has been imported. A supervisor does not import the app, so its lines have Rota's
own format.

With the setting `log="json"`, `JsonFormatter` is the format of the handler that Rota adds, and of each handler that the
app gave the root logger for standard output or standard error. Other handlers of the app keep their formats.
"""

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

from rota.core.text import plain, printable
from rota.events import Event
from rota.tasks.context import peek

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

LEVEL_HELP = "debug, info, warning or error. Default: the level that the app gave the logger `rota`, else info."
_DEFAULT_LEVEL = "INFO"
_NO_TASK: Mapping[str, object] = {"task_id": "", "task_type": "", "queue": "", "attempt": ""}

_in_use: tuple[LogLevel | None, LogFormat] | None = None
_own_handler: logging.Handler | None = None
_NO_EXTRAS = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName", "rota_event"}


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


class JsonFormatter(logging.Formatter):
    """Writes each record as one JSON object on one line.

    `time`, `level`, `logger`, `message` and `process` are in each object. A record of Rota has the name of its `event`
    and its fields, and a record that a task logged has its `task_id`, `task_type`, `queue` and `attempt`. Fields that
    were given as `extra` follow. `exception` is the traceback. In a `dictConfig`: `{"()": "rota.JsonFormatter"}`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON object."""
        shown: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        for name, value in _extras(record):
            shown.setdefault(name, plain(value))
        if record.exc_text or record.exc_info:
            shown["exception"] = record.exc_text or self.formatException(record.exc_info or (None, None, None))
        if record.stack_info:
            shown["stack"] = self.formatStack(record.stack_info)
        return json.dumps(shown)


def _extras(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    event: Event | Mapping[str, object] | None = vars(record).get("rota_event")
    context = peek(None)
    if event is not None:
        # A record that came from another process has a mapping in place of the event.
        fields = {"event": type(event).__name__, **vars(event)} if isinstance(event, Event) else event
        yield from ((name, value) for name, value in fields.items() if name not in ("trace", "log_level"))
    elif context is not None:
        yield from task_fields(context.id, context.type, context.queue, context.retried).items()
    for name, value in vars(record).items():
        if name not in _NO_EXTRAS and not (name in _NO_TASK and value == ""):
            yield name, value


def task_fields(task_id: str, task_type: str, queue: str, retried: int) -> Mapping[str, object]:
    """Return the `extra` of a record about one task. A format may print the names, so they are escaped."""
    names = {"task_id": printable(task_id), "task_type": printable(task_type), "queue": printable(queue)}
    return {**names, "attempt": retried + 1}


def set_up(level: LogLevel | None, style: LogFormat = "text") -> None:
    """Send log lines to standard error, unless the app sends them elsewhere. May be called again."""
    global _in_use, _own_handler
    _in_use = level, style
    enable_loggers()
    rota, root = logging.getLogger("rota"), logging.getLogger()
    if level is not None or rota.level == logging.NOTSET:
        rota.setLevel(level.upper() if level else _DEFAULT_LEVEL)
    if _own_handler in root.handlers:
        root.handlers.remove(_own_handler)
    _adapt(root.handlers, style)
    if root.handlers:
        return
    _own_handler = _handler(style)
    root.addHandler(_own_handler)
    if level is not None or root.level == logging.WARNING:  # WARNING is what an untouched root logger has
        root.setLevel(level.upper() if level else _DEFAULT_LEVEL)


def in_use() -> tuple[LogLevel | None, LogFormat] | None:
    """Return the arguments of `set_up` in this process, to repeat the call in a child. None if it was not called."""
    return _in_use


def restore() -> None:
    """Repeat for logging that the app configured in its lifespan what `set_up` has done, if that was called."""
    enable_loggers()
    if _in_use:
        _adapt(logging.getLogger().handlers, _in_use[1])


def _adapt(handlers: Iterable[logging.Handler], style: LogFormat) -> None:
    """Give the handlers of the app the fields of tasks, and those for a log collector the format for JSON."""
    for handler in handlers:
        if not any(isinstance(each, TaskLogFilter) for each in handler.filters):
            handler.addFilter(TaskLogFilter())
        # Only standard output and standard error: a log collector does not read the files of the app.
        if (
            style == "json"
            and isinstance(handler, logging.StreamHandler)
            and vars(handler).get("stream") in (sys.stdout, sys.stderr)
        ):
            handler.setFormatter(JsonFormatter())


def enable_loggers() -> None:
    """Enable Rota's own loggers again, because a `dictConfig` of the app disables the loggers it does not name."""
    for name, logger in list(logging.root.manager.loggerDict.items()):  # another thread may add one
        if isinstance(logger, logging.Logger) and (name == "rota" or name.startswith("rota.")):
            logger.disabled = False


def _handler(style: LogFormat) -> logging.Handler:
    if style == "json":
        handler: logging.Handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
    elif sys.stderr.isatty():
        from rich.console import Console  # imported late: child processes and programs that only enqueue skip it
        from rich.logging import RichHandler

        handler = RichHandler(
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
