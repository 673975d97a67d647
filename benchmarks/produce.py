"""Enqueues with one contender's client: `python -m benchmarks.produce CONTENDER MODE --url URL ...`.

Modes as in `go/main.go`: single, concurrent and bulk for some seconds, load for a number of
tasks, latency for each line of stdin.
"""

import argparse
import asyncio
import contextlib
import importlib
import itertools
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PARALLEL = 50
CHUNK = 5000


def loop_factory() -> asyncio.AbstractEventLoop:
    """A uvloop: each asyncio contender gets one."""
    import uvloop

    return uvloop.new_event_loop()


def _report(tasks: int, seconds: float) -> None:
    print(json.dumps({"tasks": tasks, "seconds": seconds}), flush=True)


def _rounds(mode: str, seconds: float, tasks: int) -> "itertools.takewhile[range]":
    """The numbers to enqueue in each round, for as long as the mode lasts."""
    begin = time.perf_counter()
    size = {"single": 1, "concurrent": PARALLEL}.get(mode, CHUNK)
    if mode == "load":
        starts = range(0, tasks, size)
        return itertools.takewhile(bool, (range(at, min(at + size, tasks)) for at in starts))
    endless = (range(at, at + size) for at in itertools.count(0, size))
    return itertools.takewhile(lambda _: time.perf_counter() - begin < seconds, endless)


async def drive_async(producer: Any, mode: str, seconds: float, tasks: int) -> None:
    """Drive a producer whose methods are coroutines."""
    async with producer:
        if mode == "latency":
            return await _answer_async(producer)
        if mode != "load":
            await producer.enqueue(0)  # opens the connection
        done, begin = 0, time.perf_counter()
        for numbers in _rounds(mode, seconds, tasks):
            if mode == "single":
                await producer.enqueue(numbers[0])
            elif mode == "concurrent":
                await asyncio.gather(*map(producer.enqueue, numbers))
            else:
                await producer.enqueue_many(numbers)
            done += len(numbers)
        return _report(done, time.perf_counter() - begin)


async def _answer_async(producer: Any) -> None:
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop.add_reader(sys.stdin.fileno(), lambda: lines.put_nowait(sys.stdin.readline()))
    print("ready", flush=True)
    while line := (await lines.get()).strip():
        before = time.monotonic_ns()
        await producer.enqueue(int(line))
        print(line, before, flush=True)


def drive_sync(producer: Any, mode: str, seconds: float, tasks: int) -> None:
    """Drive a producer whose methods block; side by side means threads."""
    with producer, ThreadPoolExecutor(PARALLEL) as pool:
        if mode == "latency":
            return _answer_sync(producer.enqueue)
        if mode != "load":
            producer.enqueue(0)  # opens the connection
        done, begin = 0, time.perf_counter()
        for numbers in _rounds(mode, seconds, tasks):
            if mode == "single":
                producer.enqueue(numbers[0])
            elif mode == "concurrent":
                list(pool.map(producer.enqueue, numbers))
            else:
                producer.enqueue_many(numbers)
            done += len(numbers)
        return _report(done, time.perf_counter() - begin)


def _answer_sync(enqueue: Callable[[int], object]) -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        before = time.monotonic_ns()
        enqueue(int(line))
        print(line.strip(), before, flush=True)


def main() -> None:
    """Read the command line and drive the contender's producer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender")
    parser.add_argument("mode", choices=["single", "concurrent", "bulk", "load", "latency"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--tasks", type=int, default=1000)
    o = parser.parse_args()
    producer = importlib.import_module(f"benchmarks.contenders.{o.contender}").Producer(o.url)
    with contextlib.suppress(KeyboardInterrupt):
        if hasattr(producer, "__aenter__"):
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(drive_async(producer, o.mode, o.seconds, o.tasks))
        else:
            drive_sync(producer, o.mode, o.seconds, o.tasks)


if __name__ == "__main__":
    main()
