"""Server time of the scripts that record outcomes: `python -m benchmarks.record_scripts TREE TREE`.

In each round the scripts of each checkout record the same batches in turn, and another one begins, so other load on the
machine meets all of them. The calls are built by this checkout, so all of them must have the same arguments. The
time is `usec_per_call` of EVALSHA in `INFO commandstats`, for each task. The table has the least of all rounds, which
other processes disturb least, and the median.
"""

import argparse
import random
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.server import Server
from rota.wire import minute
from rota.wire.keys import QueueKeys
from rota.wire.outcome import Outcome, done, record
from rota.wire.script import Argument, Call

TOKEN = "worker-1"
CALLS = 50
QUEUE = QueueKeys("bench", "asynq")


def source(tree: Path, name: str, included: set[str]) -> str:
    """Read a script of a checkout with its includes."""
    if name in included:
        return ""
    included.add(name)
    text = (tree / "rota/wire/lua" / f"{name}.lua").read_text()
    return re.sub(r"^--! include (\w+)\n", lambda match: source(tree, match[1], included), text, flags=re.MULTILINE)


def counts(rng: random.Random, batch: int, types: int) -> list[Argument]:
    """The counts of a batch of successes, with waits and runs that differ by half from task to task."""
    found: list[Argument] = []
    for number in range(types):
        tasks = batch // types
        waits = [rng.lognormvariate(7.5, 0.4) for _ in range(tasks)]
        runs = [rng.lognormvariate(-4 - number % 3, 0.4) for _ in range(tasks)]
        found += minute.words(f"mail:{number}", {"succeeded": tasks}, waits, runs)
    return found


def call(script: str, ids: Sequence[str], words: list[Argument]) -> Call[dict[int, int]]:
    """A call that records a batch."""
    if script == "done":
        return done(QUEUE, [word for each in ids for word in (each, TOKEN)], words)
    return record(QUEUE, [Outcome(each, TOKEN, "complete", seconds=3600, text=b"1") for each in ids], words)


def measure(server: Server, tree: Path, script: str, batch: int, types: int) -> float:
    """Record batches with the script of a checkout. Returns the microseconds for each task."""
    rng = random.Random(7)
    server.flush()
    with server.connect() as client:
        sha = client.script_load(source(tree, script, set()))
        ids = [f"task-{number:030}" for number in range(CALLS * batch)]
        pipe = client.pipeline(transaction=False)
        for each in ids:
            pipe.hset(QUEUE.task(each), mapping={"msg": "x" * 100, "state": "active", "rota_token": TOKEN})
        pipe.execute()
        for at in range(0, len(ids), batch):  # a worker has a few hundred tasks in hand, not all of them
            some = ids[at : at + batch]
            client.lpush(QUEUE.active, *some)
            client.zadd(QUEUE.lease, dict.fromkeys(some, 9e9 + 0.5))
            if at == batch:  # the first call has opened the minute
                client.config_resetstat()
            made = call(script, some, counts(rng, batch, types))
            refused = client.evalsha(sha, len(made.keys), *made.keys, *made.args)
            if refused:
                raise SystemExit(f"{tree} has refused {refused}")
    return float(server.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]) / batch


def main() -> None:
    """Read the command line, measure in turn, and print a line for each script and size of a batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="+", type=Path)
    parser.add_argument("--server", default="redis")
    parser.add_argument("--rounds", type=int, default=30)
    o = parser.parse_args()
    found: defaultdict[tuple[str, int, int], defaultdict[Path, list[float]]] = defaultdict(lambda: defaultdict(list))
    with Server(o.server) as server:
        for number in range(o.rounds):
            for case in [
                (script, *size) for script in ("done", "record") for size in ((10, 1), (10, 3), (100, 1), (100, 10))
            ]:
                for turn in range(len(o.trees)):
                    tree = o.trees[(number + turn) % len(o.trees)]
                    found[case][tree].append(measure(server, tree, *case))
    print(f"microseconds of the server for each task: least and median of {o.rounds} rounds of {CALLS} calls")
    for (script, batch, types), by_tree in found.items():
        figures = "   ".join(f"{min(by_tree[tree]):6.2f} {statistics.median(by_tree[tree]):6.2f}" for tree in o.trees)
        print(f"{script:8}{batch:4} tasks of {types:2} types   {figures}")


if __name__ == "__main__":
    main()
