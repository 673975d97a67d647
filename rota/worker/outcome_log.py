"""Logs how attempts ended, and survives whatever the log filters and handlers of the user raise.

An outcome is logged after it was passed on to be recorded: a failing filter must not keep it from its record, and an
exception in the fetcher, where some attempts end, would end the worker.
"""

import logging
import sys
import traceback

from rota.worker import verdict
from rota.worker.attempt import Attempt
from rota.worker.verdict import Verdict

logger = logging.getLogger("rota.worker")


def log_outcome(attempt: Attempt, judged: Verdict) -> None:
    """Log a verdict that is not a plain success."""
    outcome, error = judged.outcome, judged.error
    if judged.fault is not None:
        text = "How to retry task %s (%s) could not be decided: by default, then."
        log(logging.ERROR, text, attempt.id, attempt.type, exc_info=judged.fault)
    if outcome is None or (error is None and outcome.kind in ("done", "complete")):
        return
    log(
        logging.WARNING,
        "Task %s (%s) in queue %s: %s",
        attempt.id,
        attempt.type,
        attempt.queue.queue,
        verdict.sentence(attempt, outcome),
        exc_info=error if error is not None and outcome.kind in ("retry", "archive") else None,
    )


def log(level: int, text: str, *values: object, exc_info: BaseException | None = None) -> None:
    """Log, and print what a filter or handler raises, as `logging.Handler.handleError` does."""
    try:
        logger.log(level, text, *values, exc_info=exc_info)
    except BaseException:
        if logging.raiseExceptions and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
            traceback.print_exc()
