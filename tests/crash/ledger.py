"""What really happened, written down outside of the library: one file for each process, one JSON object a line.

A line is one `write` to a file opened for appending, so a process that is killed leaves whole lines. Times are the
machine's monotonic clock, which all its processes share.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.whole_lines import whole_lines

FAR = float("inf")
POLICY_RETRIES = 5
"""How often the handlers let a task fail that does not say so itself."""
FAILURES = ("fail", "timeout")
RETRY_SECONDS = 0.1
"""How long the handlers let a task that failed wait."""
AMNESIA_SECONDS = 10.0
"""How far back a server may have forgotten, where a scenario says nothing."""
CLOCKS_SECONDS = 0.001
"""So much between two looks at two clocks is no harm."""
FOLDER = "CRASH_LEDGER"
"""The variable that tells worker processes where to write."""


@dataclass(slots=True)
class Run:
    """One run of a task. `end` is empty where no end was written: the process died."""

    task: str
    pid: int
    start: float
    retried: int = 0
    type: str = ""
    end: str = ""
    ended: float = FAR


@dataclass(slots=True)
class Life:
    """A worker process at work: what it serves with how many slots, from when it was ready until it was to leave."""

    pid: int
    url: str
    slots: int
    queues: list[str]
    types: list[str]
    silence: float
    """How long it may take to notice that its connection is half-open."""
    since: float
    until: float = FAR


@dataclass(slots=True)
class Away:
    """A time in which the broker did not do what it was asked, by one URL (none: by all). `silent`: it said nothing."""

    url: str
    silent: bool
    since: float
    until: float = FAR


@dataclass(frozen=True, slots=True)
class Pause:
    """A process that was frozen for a while."""

    pid: int
    since: float
    until: float = FAR


@dataclass(frozen=True, slots=True)
class Amnesia:
    """A server that lost what it was told in the last seconds, at most, before this moment, and `until` it was dead."""

    at: float
    seconds: float
    until: float

    @property
    def since(self) -> float:
        return self.at - self.seconds


@dataclass
class History:
    """Everything that was written down."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Queue by task."""
    unsure: dict[str, str] = field(default_factory=dict)
    """Tasks of producers who got no answer: they may have been accepted."""
    repeated: set[str] = field(default_factory=set)
    """Tasks whose enqueue was sent again, because no answer came: one that was over and gone by then runs again."""
    removed: set[str] = field(default_factory=set)
    """Tasks that a test deleted, cancelled or trimmed on purpose."""
    joined: dict[str, str] = field(default_factory=dict)
    """The task that was made of a group, by member."""
    locks: dict[str, str] = field(default_factory=dict)
    """The key that no other task may run under, by task."""
    deadlines: dict[str, float] = field(default_factory=dict)
    exhausted: dict[str, float] = field(default_factory=dict)
    """When the hook of a task was told that it will not run again."""
    runs: list[Run] = field(default_factory=list)
    deaths: dict[int, float] = field(default_factory=dict)
    pauses: list[Pause] = field(default_factory=list)
    go: set[int] = field(default_factory=set)
    """Processes that follow Asynq's rules."""
    sendings: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When each task was sent, and when its producer knew that it had arrived."""
    amnesia: list[Amnesia] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    away: list[Away] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)
    """Tasks that a worker had in its hands when it died, begun or not, or that a scenario has put somewhere itself."""
    due: dict[str, float] = field(default_factory=dict)
    """When a delayed task was to run."""


class Ledger:
    """A folder of such files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def writer(self, name: str = "driver") -> "Writer":
        """Open the file of this process."""
        return Writer(self.folder / f"{name}-{os.getpid()}.log")

    def lines(self) -> Iterator[dict[str, Any]]:
        """All lines in the order of their times. A line cut short by a crash is the last of its file, and void."""
        found: list[dict[str, Any]] = []
        for path in self.folder.glob("*.log"):
            found += map(json.loads, whole_lines(path))
        return iter(sorted(found, key=lambda line: line["at"]))

    def read(self) -> History:
        """Put the lines together."""
        history = History()
        open_runs: dict[tuple[str, int], Run] = {}
        for line in self.lines():
            match line["what"]:
                case "accepted":
                    history.accepted[line["task"]] = line["queue"]
                    history.unsure.pop(line["task"], None)
                    since = history.sendings.get(line["task"], (line["at"], 0))[0]
                    history.sendings[line["task"]] = since, line["at"]
                case "unsure":
                    history.unsure[line["task"]] = line["queue"]
                    history.sendings[line["task"]] = line["at"], FAR
                case "repeated":
                    history.repeated.update(line["tasks"])
                case "go":
                    history.go.add(line["pid"])
                case "removed":
                    history.removed.add(line["task"])
                case "joined":
                    history.joined |= dict.fromkeys(line["members"], line["task"])
                case "locked":
                    history.locks[line["task"]] = line["key"]
                case "deadline":
                    history.deadlines[line["task"]] = line["at"]
                case "exhausted":
                    history.exhausted.setdefault(line["task"], line["at"])
                case "start":
                    run = Run(line["task"], line["pid"], line["at"], line["retried"], line.get("type", ""))
                    open_runs[run.task, line["run"]] = run
                    history.runs.append(run)
                case "end":
                    run = open_runs[line["task"], line["run"]]
                    run.end, run.ended = line["how"], line["at"]
                case "death":
                    history.deaths.setdefault(line["pid"], line["at"])
                case "freeze":
                    history.pauses.append(Pause(line["pid"], line["at"]))
                case "thaw":
                    history.pauses = [_thawed(pause, line) for pause in history.pauses]
                case "amnesia":
                    seconds = line.get("seconds", AMNESIA_SECONDS)
                    history.amnesia.append(Amnesia(line["at"], seconds, line.get("until", line["at"])))
                case _:
                    _read_for_idleness(history, line)
        # A producer that was stopped before it had an answer wrote down neither that nor whether it sent again.
        history.repeated |= history.unsure.keys()
        return history


def _read_for_idleness(history: History, line: dict[str, Any]) -> None:
    """Read what only the rule about idle workers wants to know."""
    match line["what"]:
        case "ready":
            words = [line[name] for name in ("pid", "url", "slots", "queues", "types", "silence", "at")]
            history.lives.append(Life(*words))
        case "leaving":
            for life in history.lives:
                if life.pid == line["pid"]:
                    life.until = min(life.until, line["at"])
        case "away":
            history.away.append(Away(line["url"], line["silent"], line["at"]))
        case "back":
            for away in history.away:
                if away.url == line["url"]:
                    away.until = min(away.until, line["at"])
        case "crashed" | "damaged":
            history.elsewhere.add(line["task"])
        case "due":
            history.due[line["task"]] = line["at"]


def moment(wall_clock: float) -> float:
    """The moment of the monotonic clock at which the other clock says so."""
    while True:
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        if after - before < CLOCKS_SECONDS:  # else this process was held up between the clocks
            return before + wall_clock - wall


class Writer:
    """Appends lines to one file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, what: str, **more: Any) -> None:
        line = {"what": what, "at": time.monotonic(), **more}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def accepted(self, tasks: dict[str, str], what: str = "accepted") -> None:
        """Write down what the library has accepted (queue by task), and wait until it is on the disk."""
        now = time.monotonic()
        lines = [json.dumps({"what": what, "at": now, "task": task, "queue": tasks[task]}) + "\n" for task in tasks]
        os.write(self._file, "".join(lines).encode())
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def _thawed(pause: Pause, line: dict[str, Any]) -> Pause:
    if pause.pid == line["pid"] and pause.until == FAR:
        return Pause(pause.pid, pause.since, line["at"])
    return pause
