"""Loads Lua scripts from files, and describes a call of a script as a value that any connection can send.

A script is `lua/<name>.lua`. The line `--! include <fragment>` is replaced by `lua/<fragment>.lua`; if a fragment is
included several times, only the first line is. In this way scripts share the functions that must be the same everywhere
(the end of a task, counters, locks, promotion of due tasks), and a fragment includes the fragments that it uses.

A script that writes a time with a fraction of a second into a sorted set of Asynq includes `time_score`, because
Asynq's inspector cannot read some numbers. A caller may send a call again whose answer was lost, so a script has to
notice that its change is made already. (`minute_add` cannot, and is not sent again.)

All times in Redis come from the server's clock, which a test cannot set. So `shifted` puts a prologue before a script,
in which `TIME` adds an offset that is stored in the database. Every program whose URL has `test_clock=1` shares the
clock of its database. The scripts themselves do not change, and other connections do not pay for it.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
Argument = str | bytes | int | float

# The most tasks for one call of a script. They are limited because the server does nothing else while a script runs.
MOST_ENQUEUED = 1000
MOST_FETCHED = 500
MOST_RECORDED = 500
MOST_FORWARDED = 1000
MOST_DELETED = 1000

_INCLUDE = re.compile(r"^--! include (\w+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script with the digest under which the server caches it."""

    name: str
    source: bytes
    sha: str

    @classmethod
    def of(cls, name: str, source: bytes) -> "Script":
        """Make a script from its source."""
        return cls(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


@dataclass(slots=True)
class Call(Generic[T]):
    """One call of a script: its keys and arguments, and the function that decodes the reply.

    All keys of a call have the same hash tag, so `keys[0]` determines the node in a Cluster.
    `decode` gets the raw reply (bytes, int, None or nested lists of them; bytes are not decoded to text).
    """

    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]
    decode: Callable[[Any], T]

    def command(self, *, by_source: bool = False) -> tuple[Argument, ...]:
        """Return the command: `EVALSHA` by default, `EVAL` for a server that may not have the script."""
        head = ("EVAL", self.script.source) if by_source else ("EVALSHA", self.script.sha)
        return (*head, len(self.keys), *self.keys, *self.args)


@cache
def load(name: str) -> Script:
    """Load `lua/<name>.lua` with its includes."""
    return Script.of(name, _read(name, set()).encode())


def _read(name: str, included: set[str]) -> str:
    if name in included:
        return ""
    included.add(name)
    text = files("rota.wire").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: _read(match[1], included), text)


TEST_CLOCK_KEY = "rota:test_clock"


@cache
def shifted(script: Script) -> Script:
    """Return the script with the prologue. A script with flags (`#!lua`) does not read the time and stays as it is."""
    if script.source.startswith(b"#!"):
        return script
    return Script.of(script.name, load("test_clock").source + script.source)


def set_test_clock(act: Literal["move", "freeze", "resume", "read"], by_us: int = 0) -> Call[int]:
    """Move the clock by some microseconds, stop it, or let it go on; return the time that it shows, in microseconds."""
    return Call(load("set_test_clock"), (TEST_CLOCK_KEY,), (act, by_us), int)
