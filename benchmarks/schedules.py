"""How late schedules fire, how many can be due at once, and what an idle scheduler costs; beside Asynq's scheduler.

python -m benchmarks.schedules [seconds]

The scheduler runs in a process of its own, on a server of its own. The lateness of a run is the time at which its task
was enqueued (`pending_since`, by the server's clock) after its planned time. Asynq's scheduler
(`interop/cmd/scheduler`) runs at the same time on the same server, with one entry that fires each second.
"""

import asyncio
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.server import Server
from interop.build import binaries
from rota.app import Rota
from rota.schedule.definition import ScheduleDefinition

TICKS = os.sysconf("SC_CLK_TCK")


def each_second(count: int, *, spread: bool) -> list[ScheduleDefinition]:
    """Schedules that fire each second, all in the same millisecond or spread over the second."""
    start = datetime.now(UTC).replace(microsecond=0)
    steps = [timedelta(seconds=number / count if spread else 0) for number in range(count)]
    return [
        ScheduleDefinition(
            name=f"s{number}", task_type="t", specs=["@every 1s"], overlap="allow", starts_at=start + step
        )
        for number, step in enumerate(steps)
    ]


def all_at(moment: datetime, count: int) -> list[ScheduleDefinition]:
    """Schedules that are all due at one moment."""
    return [
        ScheduleDefinition(name=f"s{number}", task_type="t", kind="once", process_at=moment) for number in range(count)
    ]


def idle(count: int) -> list[ScheduleDefinition]:
    """Schedules that are due far away."""
    return [ScheduleDefinition(name=f"s{number}", task_type="t", specs=["@yearly"]) for number in range(count)]


async def schedule(url: str, definitions: list[ScheduleDefinition]) -> None:
    app = Rota(url)
    async with app, app.scheduler(schedules=definitions):
        await asyncio.Event().wait()


def work(url: str, definitions: list[ScheduleDefinition]) -> None:
    uvloop.run(schedule(url, definitions))


@contextmanager
def running(url: str, definitions: list[ScheduleDefinition]) -> Iterator[int]:
    """Run a scheduler, and give its process ID."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=(url, definitions))
    process.start()
    assert process.pid is not None
    try:
        yield process.pid
    finally:
        process.kill()
        process.join()


def enqueued(client: Any) -> dict[str, float]:
    """The time at which each pending task was enqueued, in seconds."""
    ids = [id.decode() for id in client.lrange("asynq:{default}:pending", 0, -1)]
    pipeline = client.pipeline(transaction=False)
    for id in ids:
        pipeline.hget(f"asynq:{{default}}:t:{id}", "pending_since")
    return {id: int(since) / 1e9 for id, since in zip(ids, pipeline.execute(), strict=True)}


def late(found: dict[str, float]) -> list[float]:
    """The lateness of each run, in milliseconds, in rising order."""
    return sorted((at - int(id.rpartition("-")[2]) / 1000) * 1000 for id, at in found.items())


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def until(client: Any, count: int) -> None:
    while client.llen("asynq:{default}:pending") < count:
        time.sleep(0.02)


def lateness(seconds: float, *, spread: bool) -> None:
    """100 schedules that fire each second, beside Asynq's scheduler."""
    with Server("redis") as server:
        url = f"redis://{server.address}/0"
        go = subprocess.Popen(
            [binaries() / "scheduler", "-redis", url, "-spec", "@every 1s"],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
        )
        with running(url, each_second(100, spread=spread)), server.connect() as client:
            until(client, 200)
            client.delete("asynq:{default}:pending")
            time.sleep(seconds)
            ours = late(enqueued(client))
            theirs = [id.decode() for id in client.lrange("asynq:{low}:pending", 0, -1)]
            since = [int(client.hget(f"asynq:{{low}}:t:{id}", "pending_since")) / 1e6 % 1000 for id in theirs]
        go.kill()
        go.wait()
    how = "spread" if spread else "all at once"
    quantiles = [ours[int(len(ours) * share)] for share in (0.5, 0.99)]
    print(
        f"100 fires a second, {how}: {len(ours)} runs, lateness p50 {quantiles[0]:.1f} ms, p99 {quantiles[1]:.1f} ms, "
        f"most {ours[-1]:.1f} ms"
    )
    print(f"Asynq, one entry: after the whole second p50 {statistics.median(since):.1f} ms, most {max(since):.1f} ms")


def burst(count: int) -> None:
    """Many schedules that are due at one moment."""
    with Server("redis") as server:
        moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8 + count / 2000)
        with running(f"redis://{server.address}/0", all_at(moment, count)), server.connect() as client:
            until(client, count)
            found = late(enqueued(client))
    last, median = found[-1] / 1000, found[count // 2] / 1000
    print(f"{count} due at once: the last one is enqueued after {last:.2f} s, the median {median:.2f} s")


def resting(count: int, seconds: float) -> None:
    """Many schedules of which none is due."""
    with (
        Server("redis") as server,
        running(f"redis://{server.address}/0", idle(count)) as pid,
        server.connect() as client,
    ):
        while client.hlen("rota:scheduler:{15}:last") == 0:
            time.sleep(0.1)
        time.sleep(15)
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    print(f"{count} schedules, none due: {share * 100:.2f} % of a core")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    lateness(seconds, spread=True)
    lateness(seconds, spread=False)
    burst(1000)
    burst(10_000)
    resting(10_000, seconds)


if __name__ == "__main__":
    main()
