"""Opens the server for one command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rota.app import Rota
from rota.cli.option_types import settings_of
from rota.cli.target import load_app
from rota.settings.settings import Settings

T = TypeVar("T")


def app_of(url: str | None, target: str | None = None, **options: str) -> Rota:
    """Return the app that a command names, or an empty one, with the server of `--url` if it is given.

    `options` are further settings, such as shorter time limits.
    """
    app = load_app(target) if target else Rota(settings=Settings())  # else an error would name a line of Typer
    if url is not None or options:
        app.settings = app.settings.updated_by(settings_of([], url=url, **options))
    return app


def with_app(url: str | None, act: Callable[[Rota], Awaitable[T]]) -> T:
    """Do one thing with the server, and close the connections."""
    app = app_of(url)

    async def run() -> T:
        try:
            return await act(app)
        finally:
            await app.aclose()

    return asyncio.run(run())
