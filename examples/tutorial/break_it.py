"""Enqueue tasks that fail."""

import asyncio
from typing import Any

from failing import app, charge, poll
from rota import Job, TaskFailed


async def show(job: Job[Any]) -> None:
    try:
        await job.result(timeout="30s")
    except TaskFailed as failed:
        print(f"{job.type} failed: {failed.reason}")


async def main() -> None:
    async with app:
        await show(await charge.enqueue(1, 200_000))
        await show(await poll.enqueue("dead:news"))
        await poll.enqueue("busy:news")

        job = await charge.enqueue(2, -1)
        while (info := await job.info()).state != "retry":
            await asyncio.sleep(0.05)
        print(f"{job.type} will be retried: {info.last_error}, {info.retried} of {info.max_retry}")
        await job.cancel("the tutorial goes on")


asyncio.run(main())
