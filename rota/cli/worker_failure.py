"""Formats an error that ends a worker for its command: one sentence and the frames of the user's code.

Most of these errors come from the lifespan of the app. Frames of Rota are shown only if they are the innermost ones,
because then the fault may be Rota's. An error that Rota raises itself, such as a server that is away, is one sentence
already.
"""

import traceback
from collections.abc import Generator
from contextlib import contextmanager

from rota.core import tracebacks
from rota.errors import ConfigError, RotaError
from rota.tasks import lifespan
from rota.worker.run.handler_errors import describe


class WorkerFailed(RotaError):
    """A worker has ended because of an error in the app's code, or because of an internal fault."""


@contextmanager
def told(target: str) -> Generator[None]:
    """Raise WorkerFailed instead of errors that are not Rota's own."""
    try:
        yield
    except Exception as error:
        of_lifespan = any(frame.filename == lifespan.__file__ for frame in traceback.extract_tb(error.__traceback__))
        if isinstance(error, ConfigError) or (isinstance(error, RotaError) and not of_lifespan):
            raise
        what = "The lifespan" if of_lifespan else "The worker"
        text = f"{what} of {target} failed: {describe(error)}\n{tracebacks.text_of(error)}"
        raise WorkerFailed(text.rstrip()) from error
