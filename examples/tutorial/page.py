"""Enqueue a task whose header is set by middleware."""

import asyncio

from around import app, render


async def main() -> None:
    async with app:
        print(await render.call("/index", timeout="30s"))


asyncio.run(main())
