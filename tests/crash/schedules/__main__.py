"""The command line: `python -m tests.crash.schedules --seconds 300`, or `--runs 20 --acts kill` for several runs."""

# ruff: noqa: T201
import argparse
import random
import sys
from contextlib import ExitStack

from tests.crash.schedules.scene import Order, played
from tests.crash.schedules.stores import STAGES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.schedules", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--schedules", type=int, default=1000, help="how many")
    parser.add_argument("--each", type=int, default=1, help="seconds between the times of one, before it is edited")
    parser.add_argument("--every", type=float, default=5, help="seconds between two acts, on average")
    parser.add_argument("--acts", help="of kill, freeze, edit, fail-over; with commas")
    parser.add_argument("--on", choices=list(STAGES), default="standalone")
    parser.add_argument("--missed", choices=["mixed", "all"], default="mixed", help="all: each missed time runs")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--runs", type=int, default=1, help="each has the next seed, and servers of its own")
    words = parser.parse_args()
    acts = words.acts.split(",") if words.acts else ["kill", "freeze", "edit"]
    if not words.acts and words.on != "standalone":
        acts.append("fail-over")
    failed: list[int] = []
    for seed in range(words.seed, words.seed + words.runs):
        print(f"seed {seed}", flush=True)
        order = Order(seed, words.seconds, words.schedules, words.every, acts, words.on, words.missed, words.each)
        with ExitStack() as stack:
            verdict = played(order, STAGES[words.on](stack), lambda line: print(line, flush=True))
        print("\n".join(verdict.faults[:5]), flush=True)
        failed += [seed] * bool(verdict.faults)
    sys.exit(f"failed with the seeds {failed}" if failed else None)


if __name__ == "__main__":
    main()
