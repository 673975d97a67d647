"""A scheduler as a process of its own: `python -m tests.crash.scheduler_program URL PREFIX SCHEDULES`."""

import asyncio
import signal
import sys

from rota.app import Rota
from rota.schedule.definition import ScheduleDefinition


async def run(url: str, prefix: str, count: int) -> None:
    app = Rota(url, key_prefix=prefix)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    definitions = [
        ScheduleDefinition(name=f"s{number}", task_type="t", specs=["@every 1s"], overlap="allow", missed="all")
        for number in range(count)
    ]
    async with app.scheduler(schedules=definitions):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
