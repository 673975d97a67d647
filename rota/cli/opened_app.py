"""Opens the server for one command, and names the person who runs it."""

import asyncio
import getpass
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rota.app import Rota
from rota.cli.option_types import settings_of

T = TypeVar("T")


def with_app(url: str | None, act: Callable[[Rota], Awaitable[T]]) -> T:
    """Do one thing with the server, and close the connections."""
    app = Rota()
    if url is not None:
        app.settings = app.settings.updated_by(settings_of([], url=url))

    async def run() -> T:
        try:
            return await act(app)
        finally:
            await app.aclose()

    return asyncio.run(run())


def operator() -> str:
    """Return the user of this command, as the audit names him: `anna@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user of a container may be only a number
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
