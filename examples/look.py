"""Look at all queues from a program. `python -m examples.look`."""

import asyncio
from datetime import timedelta

from rota import Rota

app = Rota()


async def waiting() -> dict[str, timedelta | None]:
    """Return how long the next task of each queue has been waiting."""
    seen = await app.inspector().overview()
    return {queue.queue: queue.latency for queue in seen.queues if queue.pending}


async def main() -> list[str]:
    await app.enqueue("mail:send", {"user_id": 7}, queue="mail")
    return [f"{queue} has been waiting for {latency}" for queue, latency in (await waiting()).items()]


if __name__ == "__main__":
    print(*asyncio.run(main()), sep="\n")
