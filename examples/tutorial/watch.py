"""Look at a task, and cancel one that runs."""

import asyncio

from rota import TaskCancelled
from running import app, copy_table, index_table


async def main() -> None:
    async with app:
        job = await copy_table.enqueue(3)
        print(await job.result(timeout="30s"))
        info = await job.info()
        print(info.state, [line.split(maxsplit=1)[1] for line in info.log.decode().splitlines()])

        endless = await index_table.enqueue("orders")
        while (await endless.info()).state != "active":
            await asyncio.sleep(0.05)
        await endless.cancel("the table is being dropped")
        try:
            await endless.result(timeout="30s")
        except TaskCancelled as cancelled:
            print(cancelled.reason)


asyncio.run(main())
