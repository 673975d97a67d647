"""Runs one contender's worker: `python -m benchmarks.work CONTENDER --url URL --slots S --workers K`."""

import argparse
import asyncio
import importlib
import inspect
import logging

from benchmarks.board import prepare
from benchmarks.produce import loop_factory


def ready() -> None:
    """Tell the runner that the worker waits for tasks."""
    print("ready", flush=True)


def main() -> None:
    """Read the command line and run the contender's `work` until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender")
    parser.add_argument("--url", required=True)
    parser.add_argument("--slots", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--queues", type=int, default=1)
    o = parser.parse_args()
    logging.disable(logging.WARNING)
    prepare()
    module = importlib.import_module(f"benchmarks.contenders.{o.contender}")
    if inspect.iscoroutinefunction(module.work):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            more = {"queues": o.queues} if o.queues > 1 else {}
            runner.run(module.work(o.url, o.slots, o.workers, **more))
    else:
        module.work(o.url, o.slots, o.workers)


if __name__ == "__main__":
    main()
