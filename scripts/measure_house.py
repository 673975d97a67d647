"""Prints how easy the code is to take over, in the figures that the project has set as its goals.

`python -m scripts.measure_house` prints one row for each measure: what it is now, the limit that `make check` holds it
to, and the goal. A limit is what was reached last; it may only come nearer to the goal. The rows of calls are counted
in one run against an embedded server: calls of Python functions of `rota/` in the thread of the event loop, and the
modules that these functions stand in.
"""

import ast
import asyncio
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import redis

from rota import Rota
from rota.broker.busy_poll import BusyPoll
from rota.broker.embedded import Embedded
from scripts.tree import ROOT

PACKAGE = ROOT / "rota"
GENERATED = {"proto.py"}
LATER = {
    "schedule",
    "cron",
    "store",
    "scheduler",
    "attempts",
    "asynq_config",
    "asynq_words",
    "calendar_command",
    "completion",
    "frame",
    "json_values",
    "language",
    "opened_app",
    "output",
    "profiles",
    "profiles_command",
    "shell_command",
    "task",
    "row_table",
    "unknown_variables",
    "histogram",
    "metric_reads",
    "metric_series",
    "metrics_chart",
    "metrics_command",
    "metrics_port",
    "minute",
    "outcome_counts",
    "prometheus",
    "run_scheduler",
    "schedule_events",
    "scheduler_child",
    "scheduler_command",
    "scheduler_entry",
    "scheduler_snapshot",
    "scheduler_steps",
    "store_command",
}
"""Rooms that came after the goals were set, and their modules in other rooms, such as `wire/scheduler.py`.

The number of files compares the same features, so it leaves these out."""
VERB = re.compile(r"\breschedule\b")
ROUNDS = 15
ADVICE = """
A row is worse than its limit. Put the new code into a file that exists, or make the path shorter. If a feature cannot
do without, raise the limit in `rows()` of scripts/measure_house.py, in a commit of its own that says why."""
WAITING = BusyPoll._turn.__code__
"""Runs again and again instead of a sleep, so how often says nothing."""
ENDS_A_TASK = re.compile(r"'state', '(archived|completed)'|announce\(")


@dataclass(frozen=True, slots=True)
class Row:
    """One measure. Smaller is better, unless `floor` says that larger is."""

    title: str
    value: float
    limit: float
    goal: float
    floor: bool = False

    @property
    def fault(self) -> bool:
        return self.value < self.limit if self.floor else self.value > self.limit

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.floor else self.value <= self.goal


def modules(package: Path = PACKAGE) -> list[Path]:
    """All Python files of the package that people write."""
    return sorted(path for path in package.rglob("*.py") if path.name not in GENERATED)


def names_of_two_things(sources: dict[str, str]) -> list[str]:
    """Names of classes and modules that stand for more than one thing; `sources` has a text for each dotted module."""
    names = Counter(name.rpartition(".")[2] for name in sources if not name.endswith("__"))
    for text in sources.values():
        names.update(node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef))
    return sorted(name for name, times in names.items() if times > 1)


def constructor_parameters(sources: Iterable[str]) -> int:
    """The most parameters that an `__init__` takes, without `self`."""
    most = 0
    for text in sources:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                most = max(most, len(node.args.args) + len(node.args.kwonlyargs) - 1)
    return most


def scripts_that_end_tasks(scripts: dict[str, str]) -> list[str]:
    """Lua scripts that write the end of a task themselves instead of including `end`."""
    own = {name: re.sub(r"--.*", "", text) for name, text in scripts.items() if name not in ("end", "announce")}
    return sorted(name for name, text in own.items() if ENDS_A_TASK.search(text))


def function_lengths(sources: Iterable[str]) -> list[int]:
    """Lines of each function."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for text in sources for node in ast.walk(ast.parse(text)) if isinstance(node, functions))
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes]


def comment_share(texts: Iterable[str], mark: str) -> tuple[int, int]:
    """Lines with a comment, and all lines that are not empty."""
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return sum(line.startswith(mark) or f"  {mark}" in line or f" {mark} " in line for line in lines), len(lines)


@contextmanager
def calls_by_file() -> Iterator[Counter[str]]:
    """Count the calls of functions of `rota/` that this thread makes inside of the block, by the file they stand in."""
    found: Counter[str] = Counter()
    prefix = str(PACKAGE)

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code is not WAITING and frame.f_code.co_filename.startswith(prefix):
            found[frame.f_code.co_filename] += 1

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


async def typical(act: Callable[[], Awaitable[object]]) -> tuple[int, int]:
    """The fewest calls and modules of one act in several rounds, because timers of the worker add some by chance."""
    for _ in range(3):
        await act()
    rounds: list[Counter[str]] = []
    for _ in range(ROUNDS):
        with calls_by_file() as found:
            await act()
        rounds.append(found)
    return min(found.total() for found in rounds), min(map(len, rounds))


async def paths(url: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Calls and modules of one awaited enqueue, and of one run in an idle worker: from the socket to the record."""
    app = Rota(url=url)
    server = redis.Redis.from_url(url)

    @app.task("measured")
    async def measured(number: int) -> None:
        """Do nothing."""

    def enqueue_and_wait() -> None:  # in a thread, whose calls are not counted
        job = measured.enqueue_sync(7)
        while server.exists(f"asynq:{{{job.queue}}}:t:{job.id}"):
            time.sleep(0.002)

    async with app:
        enqueue = await typical(lambda: measured.enqueue(7))
        async with app.worker():
            run = await typical(lambda: asyncio.to_thread(enqueue_and_wait))
    server.close()
    return enqueue, run


def traced() -> tuple[tuple[int, int], tuple[int, int]]:
    """Run `paths` on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="rota-") as folder, Embedded(Path(folder)) as server:
        return asyncio.run(paths(server.url.replace("?db=0", "")))


def rows() -> list[Row]:
    """Measure everything. The limits are what was reached; change one only towards its goal."""
    texts = {path: path.read_text(encoding="utf-8") for path in modules()}
    dotted = {".".join(path.relative_to(ROOT).with_suffix("").parts): text for path, text in texts.items()}
    lua = {path.stem: path.read_text(encoding="utf-8") for path in sorted((PACKAGE / "wire/lua").glob("*.lua"))}
    lengths = sorted(function_lengths(texts.values()))
    (enqueue_calls, enqueue_modules), (run_calls, run_modules) = traced()
    rooms = [text for path, text in texts.items() if path.relative_to(PACKAGE).parts[0] in ("worker", "broker")]
    marked = [comment_share(rooms, "#"), comment_share(lua.values(), "--")]
    return [
        Row(
            "Python files in the first rooms",
            sum(not LATER & set(path.relative_to(PACKAGE).with_suffix("").parts) for path in texts),
            284,
            140,
        ),
        Row("modules at the root of rota/", sum(path.parent == PACKAGE for path in texts) - 1, 2, 8),
        Row("calls of an awaited enqueue", enqueue_calls, 25, 25),
        Row("modules of an awaited enqueue", enqueue_modules, 15, 10),
        Row("calls of a run", run_calls, 120, 120),
        Row("modules of a run", run_modules, 25, 15),
        Row("files that name a verb on a task (reschedule)", sum(map(bool, map(VERB.search, texts.values()))), 3, 3),
        Row("scripts that write the end of a task", len(scripts_that_end_tasks(lua)), 1, 1),
        Row("names of two things", len(names_of_two_things(dotted)), 0, 0),
        Row("most parameters of a constructor", constructor_parameters(texts.values()), 9, 7),
        Row("lines of a function, 90 of 100", lengths[len(lengths) * 9 // 10], 17, 15),
        Row("lines of the longest file", max(len(text.splitlines()) for text in texts.values()), 338, 310),
        Row(
            "% comments in worker, broker, lua",
            round(100 * sum(m[0] for m in marked) / sum(m[1] for m in marked), 1),
            11,
            8,
            True,
        ),
    ]


def main() -> int:
    """Print the table; 1 if a row is beyond its limit."""
    found = rows()
    print(f"{'':46}{'now':>7}{'limit':>7}{'goal':>7}")
    for row in found:
        verdict = "WORSE THAN ITS LIMIT" if row.fault else "" if not row.met else "reached"
        print(f"{row.title:46}{row.value:>7g}{row.limit:>7g}{row.goal:>7g}  {verdict}".rstrip())
    if any(row.fault for row in found):
        print(ADVICE)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
