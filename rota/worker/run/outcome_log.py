"""Logs the start and end of attempts and their outcomes. Errors in logging filters and handlers do no harm.

`Logger.handle` lets the error of a filter through to the code that logs, and handlers of the user can raise as well.
Such an error must not prevent the recording of an outcome, so an outcome is passed to the finisher before it is logged.
And it must not end the fetcher, in which some attempts end, because that would end the worker. So all errors are caught
here and printed. Each log record has the fields of its task.
"""

import logging
import sys
import traceback
from collections.abc import Callable

from rota.core import tracebacks
from rota.errors import RetryLater
from rota.worker.run import verdict
from rota.worker.run.attempt import Attempt
from rota.worker.run.verdict import Verdict

logger = logging.getLogger("rota.worker")
task_logger = logging.getLogger("rota.task")
"""Logs the start and end of each task at the level `settings.task_log_level`."""


def log_outcome(attempt: Attempt, judged: Verdict) -> None:
    """Log a verdict that is not a plain success: a final failure as an ERROR, all others as a WARNING."""
    outcome, error = judged.outcome, judged.error
    if judged.fault is not None:
        text = "How to retry task %s (%s) could not be decided: by default, then."
        trace = tracebacks.text_of(judged.fault)
        log(logging.ERROR, text, attempt.id, attempt.type, about=attempt, error=judged.fault, trace=trace)
    if judged.quiet or outcome is None or (error is None and outcome.kind in ("done", "complete")):
        return
    log(
        logging.ERROR if judged.exhausted else logging.WARNING,
        "Task %s (%s) in queue %s: %s",
        attempt.id,
        attempt.type,
        attempt.queue.queue,
        verdict.sentence(attempt, outcome),
        about=attempt,
        error=error,
        trace=judged.trace,
    )


def log_begin(level: int, attempt: Attempt) -> None:
    """Log that the function of a task starts."""
    log(level, "%s started (%s)", attempt.type, attempt.id, about=attempt, to=task_logger)


def log_end(level: int, attempt: Attempt, judged: Verdict, seconds: float) -> None:
    """Log that a task has ended, how it ended and how long it took."""
    how = _how(judged)
    took = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    log(level, "%s %s%s (%s)", attempt.type, how and f"{how} after ", took, attempt.id, about=attempt, to=task_logger)


def _how(judged: Verdict) -> str:
    """Return the word for the end of a task; empty for a success."""
    outcome = judged.outcome
    if outcome is None or outcome.kind == "complete":
        return ""
    if outcome.kind == "retry":
        return "put off" if isinstance(judged.error, RetryLater) else "failed"
    return outcome.ending or {"done": "", "requeue": "handed back"}.get(outcome.kind, "failed")


def log(
    level: int,
    text: str,
    *values: object,
    about: Attempt | None = None,
    error: BaseException | None = None,
    trace: str = "",
    to: logging.Logger = logger,
) -> None:
    """Log a record. If a filter or handler raises, print the error, as `logging.Handler.handleError` does.

    `trace` is the text of the error's traceback. The record also contains the error itself, for handlers that use it.
    """
    try:
        if to.isEnabledFor(level):
            cause = (type(error), error, error.__traceback__) if error is not None and trace else None
            record = to.makeRecord(to.name, level, __file__, 0, text, values, cause, "log_outcome")
            record.exc_text = trace or None  # a formatter uses this text instead of formatting the traceback
            for name, value in about.log_fields.items() if about else ():
                vars(record).setdefault(name, value)
            to.handle(record)
    except BaseException:
        if logging.raiseExceptions and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
            traceback.print_exc()


Handle = Callable[[logging.LogRecord], None]


def contain() -> None:
    """Make every logger of Rota print errors of filters and handlers to standard error instead of raising them."""
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
