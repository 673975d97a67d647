"""What an idle fleet asks its server: requests a second, as `MONITOR` shows them, and connections.

python -m benchmarks.idle [seconds]
"""

import asyncio
import contextlib
import multiprocessing
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack

import redis
import uvloop

from benchmarks.server import Server
from rota.app import Rota

FLEETS = ((1, 1, 1), (1, 1, 11), (4, 5, 500))
"""Processes, workers in each, queues."""


async def idle(url: str, workers: int, queues: int) -> None:
    app = Rota(url, settings={"queues": {f"queue-{number}": 1 for number in range(queues)}, "concurrency": 10})
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            await stack.enter_async_context(app.worker())
        await asyncio.Event().wait()


def work(url: str, workers: int, queues: int) -> None:
    uvloop.run(idle(url, workers, queues))


def watch(server: Server, seconds: float) -> Counter[str]:
    """Count requests by command; what scripts call inside is not counted."""
    seen: Counter[str] = Counter()
    end = time.monotonic() + seconds
    with server.connect() as client, client.monitor() as monitor:
        while (left := end - time.monotonic()) > 0:
            monitor.connection._sock.settimeout(left)
            with contextlib.suppress(redis.TimeoutError, TimeoutError):
                line = monitor.next_command()
                if line["client_type"] != "lua":
                    seen[line["command"].split()[0]] += 1
    return seen


def measure(processes: int, workers: int, queues: int, seconds: float) -> str:
    with Server("redis") as server:
        words = f"redis://{server.address}/0", workers, queues
        fleet = [multiprocessing.get_context("spawn").Process(target=work, args=words) for _ in range(processes)]
        for process in fleet:
            process.start()
        try:
            with server.connect() as client:
                while client.zcard("asynq:servers") < processes * workers:
                    time.sleep(0.1)
                time.sleep(8)  # loading scripts and the first looks are not idling
                connections = len(client.client_list()) - 1
            seen = watch(server, seconds)
        finally:
            for process in fleet:
                process.kill()
                process.join()
    total = sum(seen.values()) / seconds
    kinds = ", ".join(f"{name} {count}" for name, count in seen.most_common())
    return (
        f"| {processes * workers} | {queues} | {connections} | {total:.2f} | {total / processes / workers:.2f} "
        f"| {total / queues:.3f} | {kinds} |"
    )


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    print(f"Requests within {seconds:.0f} s.\n")
    print("| workers | queues | connections | requests/s | for each worker | for each queue | in all |")
    print("|---:|---:|---:|---:|---:|---:|---|")
    for fleet in FLEETS:
        print(measure(*fleet, seconds), flush=True)


if __name__ == "__main__":
    main()
