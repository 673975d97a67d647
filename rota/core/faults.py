"""Fault points: named places in the worker at which a test kills, freezes or cuts off the process.

All are off unless the environment says otherwise when this is imported:
`_ROTA_FAULTS="record:answered=kill:/tmp/mark,fetch:answered=drop:/tmp/other"`. Each fault happens once in all processes
together, in the one that makes its mark: a file, in which it leaves its process ID and the time.

`docs/reliability.md` lists the points; a point without a test fails one.
"""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from rota.errors import BrokerUnavailable, ConfigError

VARIABLE = "_ROTA_FAULTS"

Act = Literal["kill", "freeze", "drop"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen at a point: `drop` loses the reply of the server that has just come."""

    point: str
    act: Act
    mark: Path

    def happen(self) -> None:
        """Do it, unless it was done before."""
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
    """Read the variable. ConfigError if it makes no sense."""
    faults: dict[str, Fault] = {}
    for item in filter(None, text.split(",")):
        point, _, rest = item.partition("=")
        act, _, mark = rest.partition(":")
        if act not in get_args(Act) or not mark:
            raise ConfigError(f"{VARIABLE} has {item!r}, which is not point=act:mark with an act of {get_args(Act)}.")
        faults[point] = Fault(point, cast(Act, act), Path(mark))
    return faults


def arm(faults: Iterable[Fault]) -> None:
    """Set the faults of this process, in place of those it has; an empty iterable switches all points off."""
    global _armed
    _armed = {fault.point: fault for fault in faults} or None


def reach(point: str) -> None:
    """Be at a point at which the process may be killed or frozen."""
    if _armed is not None and point in _armed:
        _armed[point].happen()


def answered(point: str) -> None:
    """Be at a point right after a server's reply, which may be dropped here as well."""
    if _armed is not None and point in _armed:
        _armed[point].happen()


_armed: dict[str, Fault] | None = None
arm(parse(os.environ.get(VARIABLE, "")).values())
