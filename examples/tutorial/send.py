"""Enqueue a task and wait for its result."""

import asyncio

from tasks import app, welcome


async def main() -> None:
    async with app:  # closes the connections at the end
        job = await welcome.enqueue(7, locale="sv")
        print(job)
        print(await job.result(timeout="10s"))


asyncio.run(main())
