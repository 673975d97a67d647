"""An error that ends a worker, as its command tells it: one sentence and the frames of the user's code.

Most come from the lifespan of the app. Frames of Rota are shown only where they are the innermost ones: then the fault
may be Rota's. An error of Rota itself, such as a server that is away, is one sentence already.
"""

import traceback
from collections.abc import Generator
from contextlib import contextmanager

from rota.core import tracebacks
from rota.errors import ConfigError, RotaError
from rota.tasks import lifespan
from rota.worker.run.verdict import describe


class WorkerFailed(RotaError):
    """A worker was ended by an error of the app's code, or by an internal fault."""


@contextmanager
def told(target: str) -> Generator[None]:
    """Raise WorkerFailed in place of what is not an error of Rota."""
    try:
        yield
    except Exception as error:
        of_lifespan = any(frame.filename == lifespan.__file__ for frame in traceback.extract_tb(error.__traceback__))
        if isinstance(error, ConfigError) or (isinstance(error, RotaError) and not of_lifespan):
            raise
        what = "The lifespan" if of_lifespan else "The worker"
        text = f"{what} of {target} failed: {describe(error)}\n{tracebacks.text_of(error)}"
        raise WorkerFailed(text.rstrip()) from error
