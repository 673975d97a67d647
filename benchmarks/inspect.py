"""How fast one looks at many tasks: 1,000,000 of them in 50 queues, on a server of its own.

python -m benchmarks.inspect [tasks]

Each line has the median and the worst of several runs, the goal, and the longest call of a run in the server's slow
log. Of these the least counts: on a busy machine the system may stop the server in any call, but a call that is long by
itself is long in each run. No call may keep the server for more than 5 ms. A measure is a function in `MEASURES`, which
gets a `Stage`.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.server import Server
from rota.broker.sync import SyncBroker
from rota.inspect import Archive, Bulk, InState, MoveTo, RunNow, SyncActions, SyncInspector
from rota.wire.keys import QueueKeys
from rota.wire.proto import TaskMessage

QUEUES = 50
BATCH = 500
RUNS = 15
LONGEST_CALL_MS = 5.0
SHARES = {"pending": 60, "scheduled": 10, "retry": 10, "archived": 10, "completed": 10}
"""How many of 100 tasks are in each state."""
LARGEST = "q00"

_SEED = """
local prefix, list, kind, state = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
for i = 3, #ARGV, 3 do
  redis.call('HSET', prefix .. ARGV[i], 'msg', ARGV[i + 1], 'state', state, 'pending_since', ARGV[i + 2] .. '000000000')
  if kind == 'list' then
    redis.call('LPUSH', list, ARGV[i])
  else
    redis.call('ZADD', list, ARGV[i + 2], ARGV[i])
  end
end
"""


@dataclass(frozen=True)
class Stage:
    """The seeded server. `largest` is the name of the queue with the most tasks."""

    inspector: SyncInspector
    actions: SyncActions
    client: Any
    tasks: int
    largest: str = LARGEST


@dataclass(frozen=True)
class Measure:
    """One line: what is done, how long it may take at most in milliseconds, and the function that does it once."""

    title: str
    goal_ms: float
    act: Callable[[Stage], object]
    runs: int = RUNS


def deep_page(stage: Stage) -> object:
    """Read a page by a cursor in the middle of the longest list, after 500 tasks before it were taken."""
    half = stage.inspector.queue(stage.largest).pending // 2 // 500 or 1
    first = stage.inspector.tasks(stage.largest, "pending", page=half, size=500)
    keys = QueueKeys(stage.largest)
    taken = stage.client.rpop(keys.pending, 500)
    stage.client.slowlog_reset()
    try:
        began = time.perf_counter()
        stage.inspector.tasks(stage.largest, "pending", size=30, cursor=first.next)
        return time.perf_counter() - began
    finally:
        stage.client.rpush(keys.pending, *reversed(taken))


def a_page(state: str, size: int = 30) -> Callable[[Stage], object]:
    """Read the first page of one state of the largest queue."""
    return lambda stage: stage.inspector.tasks(stage.largest, state, size=size)


def search_all(stage: Stage) -> float:
    """Search all tasks for one that is not there; return the time for each 100,000 of them."""
    began = time.perf_counter()
    pages = list(stage.inspector.search("payload.user_id:-1"))
    return (time.perf_counter() - began) / pages[-1].scanned * 100_000


def group_errors(stage: Stage) -> float:
    """Group the errors of all failed tasks; return the time for each 100,000 of them."""
    began = time.perf_counter()
    pages = list(stage.inspector.errors())
    return (time.perf_counter() - began) / pages[-1].scanned * 100_000


def why(stage: Stage) -> object:
    """Ask why a task in the middle of the longest list waits."""
    keys = QueueKeys(stage.largest)
    task_id = stage.client.lindex(keys.pending, stage.client.llen(keys.pending) // 2).decode()
    began = time.perf_counter()
    stage.inspector.why(stage.largest, task_id)
    return time.perf_counter() - began


def bulk(*steps: Callable[[Stage], Bulk]) -> Callable[[Stage], object]:
    """Return what does one act on many after the other, and gives the seconds for each 100,000 tasks."""

    def act(stage: Stage) -> object:
        began, done = time.perf_counter(), 0
        for step in steps:
            one = step(stage)
            for _ in stage.actions.batches(one):
                pass
            done += one.progress.done
        return (time.perf_counter() - began) / done * 100_000

    return act


def archive_pending(stage: Stage) -> Bulk:
    """Archive all pending tasks of the largest queue."""
    return stage.actions.bulk(Archive(), InState(stage.largest, "pending"))


def run_archived(stage: Stage) -> Bulk:
    """Run all archived tasks of the largest queue."""
    return stage.actions.bulk(RunNow(), InState(stage.largest, "archived"))


def move_scheduled(source: str, target: str) -> Callable[[Stage], Bulk]:
    """Move all scheduled tasks of a queue to another one."""
    return lambda stage: stage.actions.bulk(MoveTo(target), InState(source, "scheduled"))


MEASURES: list[Measure] = [
    Measure("stats: all queues, servers and the broker", 100, lambda s: (s.inspector.overview(), s.inspector.broker())),
    Measure("stats without the memory of queues", 100, lambda s: s.inspector.overview(with_memory=False)),
    Measure("one queue", 50, lambda s: s.inspector.queue(s.largest)),
    Measure("list page of 30 pending tasks", 50, a_page("pending")),
    Measure("list page of 30 retried tasks", 50, a_page("retry")),
    Measure("list page of 500 pending tasks", 50, a_page("pending", 500)),
    Measure("list page of 30, in the middle of the longest list", 50, deep_page),
    Measure("search: first page", 1000, lambda s: next(iter(s.inspector.search("payload.user_id:-1")))),
    Measure("search: each 100,000 tasks of all", 1000, search_all, runs=3),
    Measure("search by ID in all queues", 50, lambda s: list(s.inspector.search("id:nobody"))),
    Measure("errors in groups: each 100,000 failed tasks", 5000, group_errors, runs=3),
    Measure("why a task waits", 50, why),
    Measure("bulk: archive and run each 100,000 tasks", 5000, bulk(archive_pending, run_archived), runs=3),
    Measure(
        "bulk: move each 100,000 tasks",
        5000,
        bulk(move_scheduled(LARGEST, "q01"), move_scheduled("q01", LARGEST)),
        runs=3,
    ),
]


def seed(client: Any, tasks: int) -> None:
    """Put tasks into all queues: the first queue has a fifth of them."""
    script = client.register_script(_SEED)
    for number in range(QUEUES):
        keys = QueueKeys(f"q{number:02}")
        client.sadd("asynq:queues", keys.queue)
        share = tasks // 5 if number == 0 else (tasks - tasks // 5) // (QUEUES - 1)
        for state, percent in SHARES.items():
            for first in range(0, share * percent // 100, BATCH):
                count = min(BATCH, share * percent // 100 - first)
                arguments = [each for i in range(first, first + count) for each in _task(keys.queue, state, i)]
                kind, place = ("list", keys.pending) if state == "pending" else ("zset", keys.base + state)
                script(keys=[keys.task_prefix, place], args=[kind, state, *arguments])


def _task(queue: str, state: str, number: int) -> tuple[str, bytes, int]:
    task_id = f"{state[:2]}{number:08}-{queue}-4a57-9d3c-6ac4f1b0e2d1"
    message = TaskMessage(
        type=f"mail:{number % 7}",
        payload=b'{"user_id":%d,"template":"welcome","locale":"en"}' % number,
        id=task_id,
        queue=queue,
        retry=25,
        timeout=1800,
        error_msg="ConnectionError: the mail server does not answer" if state in ("retry", "archived") else "",
    )
    return task_id, message.SerializeToString(), int(time.time()) + number // 10


def longest_call_ms(client: Any) -> float:
    """The longest call since the slow log was emptied."""
    return max((entry["duration"] / 1000 for entry in client.slowlog_get(128)), default=0.0)


def measure(stage: Stage, what: Measure) -> tuple[str, bool]:
    """Run one measure; return its line, and whether it has reached its goal."""
    what.act(stage)  # loads the scripts
    found: list[float] = []
    calls: list[float] = []
    for _ in range(what.runs):
        stage.client.slowlog_reset()
        began = time.perf_counter()
        own = what.act(stage)
        found.append((own if isinstance(own, float) else time.perf_counter() - began) * 1000)
        calls.append(longest_call_ms(stage.client))
    median, longest = statistics.median(found), min(calls)
    reached = median <= what.goal_ms and longest <= LONGEST_CALL_MS
    line = f"{what.title:<52}{median:>9.1f}{max(found):>9.1f}{what.goal_ms:>9.0f}{longest:>12.2f}"
    return f"{line}  {'' if reached else 'MISSED'}".rstrip(), reached


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    tasks = int(arguments[0]) if arguments else 1_000_000
    with Server("redis") as server, server.connect() as client:
        client.config_set("slowlog-log-slower-than", 200)
        began = time.perf_counter()
        seed(client, tasks)
        count = sum(client.llen(f"asynq:{{q{n:02}}}:pending") for n in range(QUEUES))
        print(
            f"{tasks:,} tasks in {QUEUES} queues, {count:,} of them pending: {time.perf_counter() - began:.0f} s to put"
        )
        print(f"{'':<52}{'median':>9}{'worst':>9}{'goal':>9}{'one call':>12}  (ms)")
        with SyncBroker.from_url(f"redis://{server.address}/0") as broker:
            stage = Stage(SyncInspector(broker), SyncActions(broker), client, tasks)
            missed = 0
            for each in MEASURES:
                line, reached = measure(stage, each)
                print(line, flush=True)
                missed += not reached
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
