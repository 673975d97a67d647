"""What is answered to probes: `/live`, `/ready`, `/metrics`.

The port answers anyone who reaches it, so it says no more than a probe needs. The socket of `rota health` is in a
folder of the user alone, so the answer there names the task that blocks an event loop.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from rota.health.judgement import Judgement, live, ready
from rota.health.vitals import Vitals

PLAIN = "text/plain; charset=utf-8"
_NO_METRICS = "Metrics need the library prometheus-client: pip install rota[metrics]\n"
_PATHS = "There are /live, /ready and /metrics.\n"


class Answer(NamedTuple):
    """A status of HTTP, and what goes with it."""

    status: int
    text: str
    kind: str = PLAIN


class Answers:
    """Answers for the processes that `processes` returns at the time.

    `counts` returns what is counted for all of them together, those that have ended too.
    """

    def __init__(
        self,
        processes: Callable[[], Sequence[Vitals]],
        counts: Callable[[], Mapping[str, float]] = dict[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._counts = counts
        self._clock = clock

    def __call__(self, path: str, *, named: bool = False) -> Answer:
        """Answer a request for a path. With `named` the answer may hold the id and type of a task."""
        match path:
            case "/live":
                processes = self._processes()
                shown = processes if named else [replace(vitals, blocked_by="") for vitals in processes]
                return _judged(live(shown, self._clock()))
            case "/ready":
                return _judged(ready(self._processes(), self._clock()))
            case "/metrics":
                return self._metrics()
            case _:
                return Answer(404, _PATHS)

    def _metrics(self) -> Answer:
        try:
            from rota.health.metrics import CONTENT_TYPE, expose
        except ModuleNotFoundError as error:
            if error.name != "prometheus_client":
                raise
            return Answer(501, _NO_METRICS)
        return Answer(200, expose(self._processes(), self._counts(), self._clock()), CONTENT_TYPE)


def _judged(judgement: Judgement) -> Answer:
    return Answer(200 if judgement.holds else 503, "".join(f"{line}\n" for line in judgement.lines))
