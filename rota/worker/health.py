"""A worker without a supervisor answers for itself, from a thread that its handlers cannot hold up."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rota.health.answers import Answers
from rota.health.port import HealthPort, in_thread
from rota.health.tally import Tally

if TYPE_CHECKING:
    from rota.worker.worker import Worker


@contextmanager
def answering(worker: "Worker", socket_path: Path | None = None) -> Generator[HealthPort | None]:
    """Answer on the health port of the worker's settings, and on a socket; None if there is neither."""
    settings, tally = worker.settings, Tally()
    if settings.health_port is None and socket_path is None:
        yield None
        return
    answers = Answers(lambda: [worker.signs.read()], lambda: tally.total([worker.signs.read()]))
    port = HealthPort(answers, host=settings.health_host, port=settings.health_port, socket_path=socket_path)
    with in_thread(port):
        worker.health_port = port.port
        yield port
