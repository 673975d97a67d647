"""Rota's scheduler, as an application runs it beside its own work."""

import asyncio
import gc
import os
import sys
from datetime import UTC, datetime, timedelta

import uvloop

from rota.app import Rota
from rota.schedule.definition import ScheduleDefinition


def definitions(how: str, count: int, moment: float) -> list[ScheduleDefinition]:
    """The schedules. With `each` and `spread`, MOMENT is the number of further ones that are idle."""
    if how == "once":
        at = datetime.fromtimestamp(moment, UTC)
        return [
            ScheduleDefinition(name=f"s{number}", task_type="t", kind="once", process_at=at) for number in range(count)
        ]
    if how == "idle":
        return [ScheduleDefinition(name=f"s{number}", task_type="t", specs=["@yearly"]) for number in range(count)]
    start = datetime.now(UTC).replace(microsecond=0)
    steps = [timedelta(seconds=number / count if how == "spread" else 0) for number in range(count)]
    quick = [
        ScheduleDefinition(
            name=f"s{number}", task_type="t", specs=["@every 1s"], overlap="allow", starts_at=start + step
        )
        for number, step in enumerate(steps)
    ]
    more = range(count, count + int(moment))
    return quick + [ScheduleDefinition(name=f"s{number}", task_type="t", specs=["@yearly"]) for number in more]


async def schedule(url: str, how: str, count: int, moment: float) -> None:
    app = Rota(url)
    store = os.environ.get("BENCH_STORE")
    async with app, app.scheduler(schedules=definitions(how, count, moment), store=store):
        gc.freeze()  # as `rota scheduler` does, and as docs/embedding.md advises
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(schedule(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
