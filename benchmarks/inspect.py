"""How fast one looks at many tasks and acts on them: 1,000,000 in 50 queues, on a server of its own.

python -m benchmarks.inspect [tasks]

Each line has the median and the worst of several runs, the goal, and the longest call of a run in the server's slow
log: the median of the runs, and the worst. The median may not be over 5 ms. The worst does not count, because on a busy
machine the system may stop the server in any call. A measure is a function in `MEASURES`, which gets a `Stage`.
"""

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.server import Server
from rota.broker.sync import SyncBroker
from rota.inspect import (
    Archive,
    Bulk,
    Cancel,
    Delete,
    InState,
    Matching,
    MoveTo,
    Reschedule,
    RunNow,
    SyncActions,
    SyncInspector,
)
from rota.settings.setting_groups import DatabaseSettings
from rota.store import open_store, open_trash
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
    """The seeded server. `largest` is the name of the queue with the most tasks. `actions` keep deleted tasks."""

    inspector: SyncInspector
    actions: SyncActions
    client: Any
    tasks: int
    largest: str = LARGEST


@dataclass(frozen=True)
class Measure:
    """One line: what is done, how long it may take at most in milliseconds, and the function that does it once.

    `after` makes the tasks after each run as they were before. It is not measured.
    """

    title: str
    goal_ms: float
    act: Callable[[Stage], object]
    runs: int = RUNS
    after: Callable[[Stage], object] = lambda stage: None


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


def delete_kept(stage: Stage) -> object:
    """Delete the completed tasks of the largest queue so that this can be undone."""
    return bulk(lambda s: s.actions.bulk(Delete(), InState(s.largest, "completed")))(stage)


def undo(stage: Stage) -> None:
    """Put the tasks of the last deletion back."""
    [last] = stage.actions.deleted(limit=1)
    stage.actions.undo_all(last.deletion)


def undo_deletion(stage: Stage) -> object:
    """Undo a deletion, which is not measured; return the seconds for each 100,000 tasks."""
    number = stage.client.zcard(QueueKeys(stage.largest).completed)
    delete_kept(stage)
    stage.client.slowlog_reset()
    began = time.perf_counter()
    undo(stage)
    return (time.perf_counter() - began) / number * 100_000


def fill(state: str) -> Callable[[Stage], None]:
    """Return what puts the tasks of one state of the largest queue there anew."""
    return lambda stage: seed_state(stage.client, LARGEST, state, stage.tasks // 5 * SHARES[state] // 100)


def uncancel(stage: Stage) -> None:
    """Make the cancelled tasks of the largest queue retried ones again."""
    stage.client.delete(QueueKeys(stage.largest).archived)
    fill("retry")(stage)


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
    Measure(
        "bulk: delete each 100,000 tasks, without undo",
        5000,
        bulk(lambda s: s.actions.bulk(Delete(undo=False), InState(s.largest, "completed"))),
        3,
        fill("completed"),
    ),
    Measure("bulk: delete each 100,000 tasks, kept for undo", 5000, delete_kept, 3, undo),
    Measure("bulk: undo each 100,000 tasks", 5000, undo_deletion, 3),
    Measure(
        "bulk: cancel each 100,000 tasks",
        5000,
        bulk(lambda s: s.actions.bulk(Cancel("benchmark"), InState(s.largest, "retry"))),
        3,
        uncancel,
    ),
    Measure(
        "bulk: reschedule each 100,000 tasks",
        5000,
        bulk(lambda s: s.actions.bulk(Reschedule("1h"), InState(s.largest, "scheduled"))),
        3,
    ),
    Measure(
        "bulk: cancel each 100,000 tasks that a query finds",
        5000,
        bulk(
            lambda s: s.actions.bulk(
                Cancel("benchmark"), Matching(f"queue:{s.largest} state:retry payload.template:welcome")
            )
        ),
        3,
        uncancel,
    ),
]


def seed(client: Any, tasks: int) -> None:
    """Put tasks into all queues: the first queue has a fifth of them."""
    for number in range(QUEUES):
        client.sadd("asynq:queues", f"q{number:02}")
        share = tasks // 5 if number == 0 else (tasks - tasks // 5) // (QUEUES - 1)
        for state, percent in SHARES.items():
            seed_state(client, f"q{number:02}", state, share * percent // 100)


def seed_state(client: Any, queue: str, state: str, tasks: int) -> None:
    """Put the tasks of one state into a queue. The same call again puts the same tasks there."""
    script, keys = client.register_script(_SEED), QueueKeys(queue)
    kind, place = ("list", keys.pending) if state == "pending" else ("zset", keys.base + state)
    for first in range(0, tasks, BATCH):
        arguments = [each for i in range(first, min(first + BATCH, tasks)) for each in _task(queue, state, i)]
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
    if what.runs == RUNS:
        what.act(stage)  # loads the scripts
    found: list[float] = []
    calls: list[float] = []
    for _ in range(what.runs):
        stage.client.slowlog_reset()
        began = time.perf_counter()
        own = what.act(stage)
        found.append((own if isinstance(own, float) else time.perf_counter() - began) * 1000)
        calls.append(longest_call_ms(stage.client))
        what.after(stage)
    median, longest = statistics.median(found), statistics.median(calls)
    reached = median <= what.goal_ms and longest <= LONGEST_CALL_MS
    line = f"{what.title:<52}{median:>9.1f}{max(found):>9.1f}{what.goal_ms:>9.0f}{longest:>10.2f}{max(calls):>10.2f}"
    return f"{line}  {'' if reached else 'MISSED'}".rstrip(), reached


def new_store(folder: str) -> str:
    """Make an SQLite store, and return its URL."""
    url = f"sqlite:///{folder}/rota.db"

    async def make() -> None:
        async with open_store(url):
            pass

    asyncio.run(make())
    return url


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    tasks = int(arguments[0]) if arguments else 1_000_000
    gc.freeze()  # as the command line does after its imports
    with Server("redis") as server, server.connect() as client, tempfile.TemporaryDirectory() as folder:
        client.config_set("slowlog-log-slower-than", 200)
        began = time.perf_counter()
        seed(client, tasks)
        count = sum(client.llen(f"asynq:{{q{n:02}}}:pending") for n in range(QUEUES))
        print(
            f"{tasks:,} tasks in {QUEUES} queues, {count:,} of them pending: {time.perf_counter() - began:.0f} s to put"
        )
        print(f"{'':<52}{'median':>9}{'worst':>9}{'goal':>9}{'one call':>10}{'worst':>10}  (ms)")
        with SyncBroker.from_url(f"redis://{server.address}/0") as broker:
            trash = open_trash(new_store(folder), DatabaseSettings())
            stage = Stage(SyncInspector(broker), SyncActions(broker, trash=trash), client, tasks)
            missed = 0
            for each in MEASURES:
                line, reached = measure(stage, each)
                print(line, flush=True)
                missed += not reached
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
