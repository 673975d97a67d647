"""Serves the metrics of the queues for Prometheus, from what was read last.

Redis is asked at a fixed interval, however many programs scrape. While Redis is away the answer is 503, so that no old
numbers are taken for new ones.
"""

import asyncio
from collections.abc import Awaitable, Callable

from rota.errors import BrokerError
from rota.health.endpoints import Answer, HealthPort

_PATHS = "There are /live, /ready and /metrics.\n"


class QueuePort:
    """Answers with what was read last."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._text = ""
        self._fault = "starting"

    async def refresh(self, read: Callable[[], Awaitable[str]]) -> None:
        """Read the queues now."""
        try:
            self._text, self._fault = await read(), ""
        except BrokerError as error:
            self._fault = str(error)

    def __call__(self, path: str, *, named: bool = False) -> Answer:
        """Answer a request for a path."""
        match path:
            case "/live":
                return Answer(200, "live\n")
            case "/ready" | "/metrics" if self._fault:
                return Answer(503, f"{self._fault}\n")
            case "/ready":
                return Answer(200, "ready\n")
            case "/metrics":
                return Answer(200, self._text, self._kind)
            case _:
                return Answer(404, _PATHS)


async def serve(read: Callable[[], Awaitable[str]], host: str, port: int, every_seconds: float) -> None:
    """Serve until cancelled. Raises ConfigError if the port cannot be opened."""
    from rota.inspect.prometheus import CONTENT_TYPE

    answers = QueuePort(CONTENT_TYPE)
    async with HealthPort(answers, host=host, port=port):
        while True:
            await answers.refresh(read)
            await asyncio.sleep(every_seconds)
