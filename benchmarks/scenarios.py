"""Each scenario: its cells, its rows, and how one cell is measured for one contender."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.contender import BY_NAME, GO_PROGRAM, Contender
from benchmarks.fleet import Fleet, fleet
from benchmarks.process import Child, ChildFailed
from benchmarks.server import Server
from benchmarks.sheet import Measure, Sheet

PRODUCERS = ("Python", "Go")
ENQUEUES = {"single": "one by one", "concurrent": "50 at a time", "bulk": "bulk"}


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int = 3
    enqueue_seconds: float = 1.5
    task_share: float = 1.0
    run_seconds: float = 5.0
    slots: tuple[int, ...] = (10, 50, 200)
    processes: tuple[int, ...] = (1, 2)
    waiting: tuple[int, ...] = (1, 10, 100)
    starts: int = 100
    start_seconds: float = 20.0
    idle_seconds: float = 20.0
    still_seconds: float = 15.0
    patience_seconds: float = 60.0
    peers_everywhere: bool = True


QUICK = Scale(
    rounds=1, enqueue_seconds=0.25, task_share=0.2, run_seconds=1.0, slots=(50,), processes=(1,), waiting=(1,),
    starts=8, start_seconds=1.5, idle_seconds=5.0,
    peers_everywhere=False,
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One measurement that is made for each contender in turn, so that rivals run close in time."""

    key: str
    measure: Callable[[Server, Contender, Scale, Sheet], None]
    each_round: bool = True
    for_peers: bool = True


class NotForThis(Exception):
    """The contender can't be measured so; says why."""


def enqueue_cells(_: Scale) -> Iterator[Cell]:
    """(a), (b), (c): enqueues on an empty server that nobody works for."""
    for mode in ENQUEUES:

        def measure(server: Server, contender: Contender, scale: Scale, sheet: Sheet, mode: str = mode) -> None:
            sheet.add(f"enqueue {mode}", contender.name, _enqueue(server, contender, scale, mode))

        yield Cell(f"enqueue {mode}", measure)


def _enqueue(server: Server, contender: Contender, scale: Scale, mode: str) -> float:
    with Child(contender.produce(mode, server.address, seconds=scale.enqueue_seconds)) as child:
        done = child.result(scale.patience_seconds)
    return float(done["tasks"] / done["seconds"])


def throughput_cells(scale: Scale) -> Iterator[Cell]:
    """(d), and with it (g) and (h) at 50 slots in one process."""
    for processes in scale.processes:
        for slots in scale.slots:
            key = f"throughput {processes}x{slots}"

            def measure(
                server: Server, contender: Contender, scale: Scale, sheet: Sheet,
                key: str = key, slots: int = slots, processes: int = processes,
            ) -> None:  # fmt: skip
                run = _run(server, contender, scale, slots=slots, processes=processes)
                sheet.add(key, contender.name, run.per_second)
                if (slots, processes) == (50, 1):
                    sheet.add("redis cpu", contender.name, run.redis_us)
                    sheet.add("memory", contender.name, run.memory_mb)

            yield Cell(key, measure)


def delay_cells(scale: Scale) -> Iterator[Cell]:
    """(f): throughput through a proxy that holds each request for a millisecond."""
    for slots in scale.slots:
        key = f"delayed 1x{slots}"

        def measure(
            server: Server, contender: Contender, scale: Scale, sheet: Sheet, key: str = key, slots: int = slots
        ) -> None:
            if not GO_PROGRAM.exists():
                raise NotForThis("the delay proxy is a Go program, and Go is missing")
            with Child([str(GO_PROGRAM), "delay", "-to", server.address, "-ms", "1"]) as proxy:
                address = proxy.line(10)
                run = _run(server, contender, scale, slots=slots, processes=1, address=address)
            sheet.add(key, contender.name, run.per_second)

        yield Cell(key, measure, each_round=False, for_peers=scale.peers_everywhere)


@dataclass(frozen=True)
class Run:
    """What one preloaded run gave."""

    per_second: float
    redis_us: float
    memory_mb: float


def _run(
    server: Server, contender: Contender, scale: Scale, *, slots: int, processes: int, address: str | None = None
) -> Run:
    tasks = int(contender.tasks * scale.task_share)
    before = server.cpu_seconds()
    with Child(contender.produce("load", server.address, tasks=tasks)) as child:
        child.result(scale.patience_seconds)
    loaded = server.cpu_seconds()
    with fleet(contender, address or server.address, slots=slots, processes=processes) as workers:
        done, seconds = _until_handled(workers, tasks, scale)
        time.sleep(0.3)  # the last acknowledgements belong to the cost of the run
        used = server.cpu_seconds() - loaded
        memory = workers.resident_bytes() / 1e6
        handled = workers.boards.count()
    redis_us = ((loaded - before) / tasks + used / handled) * 1e6
    return Run(per_second=(done - 1) / seconds, redis_us=redis_us, memory_mb=memory)


def _until_handled(workers: Fleet, tasks: int, scale: Scale) -> tuple[int, float]:
    """Wait until all are handled, or the time for slow ones is over: how many in how many seconds."""
    boards = workers.boards
    seen, moved = 0, time.monotonic()
    while (done := boards.count()) < tasks and boards.span_seconds() < scale.run_seconds:
        if done > seen:
            seen, moved = done, time.monotonic()
        elif time.monotonic() - moved > scale.still_seconds:
            if done < 0.95 * tasks:
                raise ChildFailed(f"stood still for {scale.still_seconds:.0f} s after {done} of {tasks} tasks")
            break  # an at-most-once queue may have lost some; its speed is known all the same
        time.sleep(0.02)
    return boards.count(), boards.span_seconds()


def idle_cells(scale: Scale) -> Iterator[Cell]:
    """(i): what one waiting worker with 10 slots sends, and how much of it is for each further queue."""

    def measure(server: Server, contender: Contender, scale: Scale, sheet: Sheet) -> None:
        one = _idle(server, contender, scale, queues=1)
        sheet.add("idle", contender.name, one)
        if contender.name in ("go", "rota"):
            server.flush()
            more = _idle(server, contender, scale, queues=11)
            sheet.add("idle queue", contender.name, (more - one) / 10)

    yield Cell("idle", measure, each_round=False, for_peers=scale.peers_everywhere)


def _idle(server: Server, contender: Contender, scale: Scale, *, queues: int) -> float:
    with fleet(contender, server.address, slots=10, queues=queues):
        time.sleep(scale.idle_seconds / 2)  # loading scripts and the first heartbeat are not idling
        return server.requests(scale.idle_seconds) / scale.idle_seconds


def measures(scale: Scale) -> list[Measure]:
    """All rows, in the order of the table."""
    rows = [Measure(f"enqueue {mode}", f"enqueue {words}, tasks/s") for mode, words in ENQUEUES.items()]
    pairs = [(processes, slots) for processes in scale.processes for slots in scale.slots]
    for processes, slots in pairs:
        title = f"no-op tasks/s, {processes} process{'es' if processes > 1 else ''} of {slots} slots"
        rows.append(Measure(f"throughput {processes}x{slots}", title))
    rows += [Measure(f"delayed 1x{slots}", f"the same, +1 ms per call, {slots} slots") for slots in scale.slots]
    for waiting in scale.waiting:
        for producer in PRODUCERS:
            rows += _start_rows(waiting, producer)
    return [
        *rows,
        Measure("redis cpu", "Redis CPU per task, µs", 1),
        Measure("memory", "worker memory, MB"),
        Measure("idle", "commands/s of an idle worker", 2),
        Measure("idle queue", "the same, for each further queue", 2),
    ]


def _start_rows(waiting: int, producer: str) -> list[Measure]:
    source = f"start {waiting} {producer}"
    title = f"idle start, ms, {waiting} waiting, {producer} producer"
    return [
        Measure(f"{source} p{percent}", f"{title}, p{percent}", 2, percent / 100, source) for percent in (50, 95, 99)
    ]


def start_cells(scale: Scale) -> Iterator[Cell]:
    """(e): from just before the enqueue call to the first line of the handler, on workers that wait."""
    for waiting in scale.waiting:
        for producer in PRODUCERS:

            def measure(
                server: Server, contender: Contender, scale: Scale, sheet: Sheet,
                waiting: int = waiting, producer: str = producer,
            ) -> None:  # fmt: skip
                samples = _starts(server, contender, scale, waiting, producer)
                sheet.add(f"start {waiting} {producer}", contender.name, *samples)

            yield Cell(f"start {waiting} {producer}", measure, each_round=False, for_peers=scale.peers_everywhere)


def _starts(server: Server, contender: Contender, scale: Scale, waiting: int, producer: str) -> list[float]:
    if producer == "Go" and contender.name not in ("go", "rota"):
        raise NotForThis("")
    client = BY_NAME["go"] if producer == "Go" else BY_NAME["rota"] if contender.name == "go" else contender
    processes = min(waiting, 10)
    workers = waiting // processes
    if workers > 1 and not contender.many_in_process:
        raise NotForThis("needs a process for each worker; 100 processes are too many for this machine")
    with (
        fleet(contender, server.address, slots=10, processes=processes, workers=workers, gated=False) as waiters,
        Child(client.produce("latency", server.address)) as child,
    ):
        child.expect("ready", 30)
        time.sleep(1.0)  # so that the workers have found nothing and wait
        return list(_sample(child, waiters, scale))


def _sample(child: Child, waiters: Fleet, scale: Scale) -> Iterator[float]:
    """Start times in ms. The first of each run is thrown away: it loads scripts and code."""
    end = time.monotonic() + scale.start_seconds
    for number in range(1, scale.starts + 2):
        child.write(str(number))
        _, sent = child.line(scale.patience_seconds).split()
        deadline = time.monotonic() + scale.patience_seconds
        while not (started := waiters.boards.start_of(number)):
            if time.monotonic() > deadline:
                raise ChildFailed(f"task {number} did not start in {scale.patience_seconds:.0f} s")
            time.sleep(0.005)
        if number > 1:
            yield (started - int(sent)) / 1e6
        if time.monotonic() > end:
            return
        time.sleep(random.uniform(0.05, 0.25))


SCENARIOS = {
    "throughput": throughput_cells,
    "enqueue": enqueue_cells,
    "start": start_cells,
    "delay": delay_cells,
    "idle": idle_cells,
}
