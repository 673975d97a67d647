"""A server that says what a test wants it to say: states that a real one shows for a moment only."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import hiredis

HELLO = b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n"


@asynccontextmanager
async def fake_server(answer: Callable[[list[bytes]], bytes | None], greeting: bytes = b"") -> AsyncIterator[str]:
    """Yield the URL of a server that answers each command by `answer`; `None` closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        writer.write(greeting)
        try:
            while data := await reader.read(65536):
                parser.feed(data)
                while (words := parser.gets()) is not False:
                    reply = answer(words)
                    if reply is None:
                        return
                    writer.write(reply)
        except (ConnectionError, hiredis.HiredisError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
