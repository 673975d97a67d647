"""Enqueue a task whose header is set by middleware."""

import asyncio

from around import app, render


async def main() -> None:
    async with app:
        job = await render.enqueue("/index")
        print(await job.result(timeout="10s"))


asyncio.run(main())
