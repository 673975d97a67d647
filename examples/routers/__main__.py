"""Ship an order, and follow its tasks through both routers: `python -m examples.routers`."""

import asyncio
import json

from examples.routers.app import app
from examples.routers.orders import ship


async def main() -> None:
    async with app, app.worker():
        job = await ship.enqueue(7)
        print(job.type, "in", job.queue)
        invoice = await job.result(timeout="30s")
        receipt = json.loads(await app.client.result("default", invoice, timeout="30s"))
        sent = json.loads(await app.client.result("mail", receipt, timeout="30s"))
        print(sent)


if __name__ == "__main__":
    asyncio.run(main())
