"""Logs how attempts ended, and survives whatever the log filters and handlers of the user raise.

An outcome is logged after it was passed on to be recorded: a failing filter must not keep it from its record, and an
exception in the fetcher, where some attempts end, would end the worker.
"""

import logging
import sys
import traceback

from rota import tracebacks
from rota.worker import verdict
from rota.worker.attempt import Attempt
from rota.worker.verdict import Verdict

logger = logging.getLogger("rota.worker")


def log_outcome(attempt: Attempt, judged: Verdict) -> None:
    """Log a verdict that is not a plain success: a failure for good as an ERROR, what is tried again as a WARNING."""
    outcome, error = judged.outcome, judged.error
    if judged.fault is not None:
        text = "How to retry task %s (%s) could not be decided: by default, then."
        log(logging.ERROR, text, attempt.id, attempt.type, error=judged.fault, trace=tracebacks.text_of(judged.fault))
    if judged.quiet or outcome is None or (error is None and outcome.kind in ("done", "complete")):
        return
    log(
        logging.ERROR if judged.exhausted else logging.WARNING,
        "Task %s (%s) in queue %s: %s",
        attempt.id,
        attempt.type,
        attempt.queue.queue,
        verdict.sentence(attempt, outcome),
        error=error,
        trace=judged.trace,
    )


def log(level: int, text: str, *values: object, error: BaseException | None = None, trace: str = "") -> None:
    """Log, and print what a filter or handler raises, as `logging.Handler.handleError` does.

    `trace` is the text of the error's traceback. The record has the error too, for handlers that look at it.
    """
    try:
        if logger.isEnabledFor(level):
            about = (type(error), error, error.__traceback__) if error is not None and trace else None
            record = logger.makeRecord(logger.name, level, __file__, 0, text, values, about, "log_outcome")
            record.exc_text = trace or None  # a formatter takes it as it is
            logger.handle(record)
    except BaseException:
        if logging.raiseExceptions and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
            traceback.print_exc()
