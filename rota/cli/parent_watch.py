"""Notices that the parent process is gone, by the end of standard input, which is a pipe from the parent."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable


@contextlib.asynccontextmanager
async def while_parent_lives(gone: Callable[[], object]) -> AsyncGenerator[None]:
    """Call `gone` if standard input ends while the block runs. It ends even if the parent was killed."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def watch() -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        gone()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        transport.close()
