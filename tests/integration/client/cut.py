"""A proxy that can lose the reply to a request, which the server carries out, or refuse to pass requests on."""

import asyncio
import contextlib


class LosesReplies:
    """Forwards to a server's socket. While `losses` is above zero, the reply to the next script is lost with its
    connection. A request with one of the words of `refused` is not passed on, and its connection is closed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.losses = 0
        self.lost = 0
        self.refused: tuple[bytes, ...] = ()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = False

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> "LosesReplies":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self._is_over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._is_over:  # accepted before the end, begun after it: a connection to the server would stay open
            writer.close()
            return
        self._tasks.add(task)
        server_reader, server_writer = await asyncio.open_unix_connection(self.path)
        doomed = asyncio.Event()

        async def up() -> None:
            while data := await reader.read(1 << 20):
                if any(word in data for word in self.refused):
                    return
                if self.losses and b"\r\nEVAL" in data:
                    self.losses -= 1
                    doomed.set()
                server_writer.write(data)

        async def down() -> None:
            while data := await server_reader.read(1 << 20):
                if doomed.is_set():
                    self.lost += 1
                    return
                writer.write(data)

        ways = [asyncio.create_task(up()), asyncio.create_task(down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, server_writer):
                end.close()  # both, before a cancellation can come in between
            for end in (writer, server_writer):
                with contextlib.suppress(ConnectionError, OSError):
                    await end.wait_closed()
            self._tasks.discard(task)
