"""Functions at planned times in one process, without a server. `python -m examples.local_cron`."""

import asyncio

from rota import Calendar, Cron, every

weekend = Calendar.read({"name": "weekend", "days_off": ["sat", "sun"]})
cron = Cron(tz="Europe/Berlin", missed="skip")
beats: asyncio.Queue[str] = asyncio.Queue()


@cron.every("1s", max_runs=2)
async def beat() -> None:
    await beats.put("beat")


@cron.cron("30 2 * * *", overlap="queue_one")
def backup() -> None:
    """Runs in a thread, because it blocks."""


def report() -> None:
    """Runs every second Monday."""


cron.add(every(2).weeks.on("mon").at("09:00"), report, calendar=weekend, on_day_off="next_working_day")


async def main() -> None:
    async with cron:
        for entry in sorted(cron.entries(), key=lambda entry: entry.id):
            print(entry.name, "runs", *entry.specs)
        for _ in range(2):
            print(await beats.get())


if __name__ == "__main__":
    asyncio.run(main())
