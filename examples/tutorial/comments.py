"""Enqueue three tasks of one group."""

import asyncio

from groups import app, comment


async def main() -> None:
    async with app:
        for author in ("Ann", "Bo", "Cy"):
            job = await comment.options(group="page-7").enqueue(author, "Nice!")
            print(job.state)


asyncio.run(main())
