"""Enqueue a task, and call another one."""

import asyncio

from tasks import app, welcome


async def main() -> None:
    async with app:  # closes the connections at the end
        job = await welcome.enqueue(7, locale="sv")
        print(job)
        print(await welcome.call(8, timeout="30s"))  # enqueue, wait, and return the result


asyncio.run(main())
