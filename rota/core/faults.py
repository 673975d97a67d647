"""Fault points: named points in the worker at which a test kills or freezes the process, or drops a reply.

All faults are off unless an environment variable sets them before this module is imported:
`_ROTA_FAULTS="record:answered=kill:/tmp/mark,fetch:answered=drop:/tmp/other"`. Each fault happens once among all
processes, in the process that first creates its mark: a file with the process ID and the time.

`docs/reliability.md` lists the points. A test fails if a point is not covered by a test.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from rota.errors import BrokerUnavailable, ConfigError

VARIABLE = "_ROTA_FAULTS"

Act = Literal["kill", "freeze", "drop"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at a point. `drop` discards the server's reply that has just arrived."""

    point: str
    act: Act
    mark: Path

    def happen(self) -> None:
        """Carry out the fault, unless a process has done so before."""
        try:
            mark = os.open(self.mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return
        os.write(mark, f"{os.getpid()} {time.monotonic()}".encode())
        os.close(mark)
        if self.act == "drop":
            raise BrokerUnavailable(f"the reply was lost at {self.point}, as a test wants it", maybe_applied=True)
        os.kill(os.getpid(), signal.SIGKILL if self.act == "kill" else signal.SIGSTOP)


def parse(text: str) -> dict[str, Fault]:
    """Parse the environment variable. Raises ConfigError if it is not valid."""
    faults: dict[str, Fault] = {}
    for item in filter(None, text.split(",")):
        point, _, rest = item.partition("=")
        act, _, mark = rest.partition(":")
        if act not in get_args(Act) or not mark:
            raise ConfigError(f"{VARIABLE} has {item!r}, which is not point=act:mark with an act of {get_args(Act)}.")
        faults[point] = Fault(point, cast(Act, act), Path(mark))
    return faults


def arm(faults: Iterable[Fault]) -> None:
    """Replace the faults of this process. An empty iterable turns all points off."""
    global reach, answered
    armed = {fault.point: fault for fault in faults}

    def arrive(point: str) -> None:
        if point in armed:
            armed[point].happen()

    # Every task passes several points. Without faults, a point costs a lookup in an empty dict.
    reach = answered = arrive if armed else armed.get


reach: Callable[[str], object]
"""Mark a point in the code at which a fault can kill or freeze the process."""
answered: Callable[[str], object]
"""Mark a point right after a server's reply, at which a fault can also drop the reply."""
arm(parse(os.environ.get(VARIABLE, "")).values())
