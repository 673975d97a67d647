"""The probes `/live`, `/ready` and `/metrics`, and the small HTTP server that serves them.

The server supports these paths, GET and HEAD, and one request per connection, with limits on request size, duration
and number of connections. The port answers any client that can reach it, so its answers contain no more than a probe
needs. The socket of `rota health` is in a folder that only the user can open, so the answers there also name the task
that blocks an event loop.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

from rota import events
from rota.errors import ConfigError
from rota.health.process_status import ProbeResult, ProcessStatus, live, ready

PLAIN = "text/plain; charset=utf-8"
_NO_METRICS = "Metrics need the library prometheus-client: pip install rota[metrics]\n"
_PATHS = "There are /live, /ready and /metrics.\n"


class Answer(NamedTuple):
    """An HTTP status code, a body and its content type."""

    status: int
    text: str
    kind: str = PLAIN


class Answers:
    """Answers probes for the processes that `processes` returns when a request comes.

    `counts` returns the sums over all processes, including those that have ended.
    """

    def __init__(
        self,
        processes: Callable[[], Sequence[ProcessStatus]],
        counts: Callable[[], Mapping[str, float]] = dict[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._counts = counts
        self._clock = clock

    def __call__(self, path: str, *, named: bool = False) -> Answer:
        """Answer a request for a path. With `named` the answer may contain the ID and type of a task."""
        match path:
            case "/live":
                processes = self._processes()
                shown = processes if named else [replace(process, blocked_by="") for process in processes]
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


def _judged(judgement: ProbeResult) -> Answer:
    return Answer(200 if judgement.holds else 503, "".join(f"{line}\n" for line in judgement.lines))


MAX_HEAD_BYTES = 8192
MAX_CONNECTIONS = 32
MAX_SECONDS = 5.0


class Answering(Protocol):
    """Answers a request for a path. `named` is true for a request over the unix socket, so from the same user."""

    def __call__(self, path: str, *, named: bool = False) -> Answer:
        """Return the answer."""
        ...


class HealthPort:
    """Serves on a TCP port, a unix socket, or both, inside its `async with` block.

    `port` None means no TCP port; 0 lets the system choose one.
    """

    def __init__(
        self,
        answer: Answering,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        socket_path: Path | None = None,
    ) -> None:
        self._answer = answer
        self._host = host
        self._wanted = port
        self._socket_path = socket_path
        self._servers: list[asyncio.Server] = []
        self._open = 0
        self.port: int | None = None
        """The port that was bound."""

    async def __aenter__(self) -> "HealthPort":
        try:
            if self._wanted is not None:
                await self._bind(self._wanted)
            if self._socket_path is not None:
                await self._bind_socket(self._socket_path)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _bind(self, port: int) -> None:
        try:
            server = await asyncio.start_server(
                partial(self._serve, named=False), self._host, port, limit=MAX_HEAD_BYTES
            )
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"The health port {self._host}:{port} cannot be opened ({error}). Set health_port and health_host to "
                "an address of this machine that is free, or leave them out."
            ) from error
        self._servers.append(server)
        self.port = bound = server.sockets[0].getsockname()[1]
        events.emit(events.HealthPortOpened(host=self._host, port=bound))

    async def _bind_socket(self, path: Path) -> None:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            serve = partial(self._serve, named=True)
            self._servers.append(await asyncio.start_unix_server(serve, path, limit=MAX_HEAD_BYTES))
        except OSError as error:
            events.emit(events.HealthSocketRefused(path=path, error=error))
            self._socket_path = None

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        if self._socket_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._socket_path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, named: bool) -> None:
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                async with asyncio.timeout(MAX_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._respond(head, named))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            events.emit(events.HealthRequestLate())
        finally:
            self._open -= 1
            writer.close()

    def _respond(self, head: bytes, named: bool) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        if method not in (b"GET", b"HEAD"):
            return _response(Answer(405, "Only GET and HEAD.\n"))
        try:
            answer = self._answer(path, named=named)
        except Exception as error:
            events.emit(events.HealthAnswerFailed(path=path, error=error))
            answer = Answer(500, "This question could not be answered; see the log.\n")
        return _response(answer, with_body=method == b"GET")


def _response(answer: Answer, *, with_body: bool = True) -> bytes:
    body = answer.text.encode()
    head = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\nContent-Type: {answer.kind}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")


@contextlib.contextmanager
def in_thread(port: HealthPort) -> Generator[HealthPort]:
    """Serve in a separate thread with its own event loop, so that probes are answered while a handler blocks ours."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="rota-health", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(port.__aenter__(), loop).result()
        try:
            yield port
        finally:
            asyncio.run_coroutine_threadsafe(_end(port), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(port: HealthPort) -> None:
    await port.__aexit__(None, None, None)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
