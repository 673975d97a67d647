"""Opens the server for one command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rota.app import Rota
from rota.cli.option_types import settings_of
from rota.settings.settings import Settings

T = TypeVar("T")


def app_of(url: str | None) -> Rota:
    """Return an app with the settings, and with the server of `--url` if it is given."""
    return Rota(settings=Settings().updated_by(settings_of([], url=url)))


def with_app(url: str | None, act: Callable[[Rota], Awaitable[T]]) -> T:
    """Do one thing with the server, and close the connections."""
    app = app_of(url)

    async def run() -> T:
        try:
            return await act(app)
        finally:
            await app.aclose()

    return asyncio.run(run())
