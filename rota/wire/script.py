"""Lua scripts as files, and calls of them as values that any connection can carry.

A script is `lua/<name>.lua`. A line `--! include <fragment>` in it stands for `lua/<fragment>.lua`, at its first
occurrence: that is how the scripts share the functions that must agree (the end of a task, counters, locks, promotion
of due tasks), and how each fragment names those that it needs.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Argument = str | bytes | int | float

_INCLUDE = re.compile(r"^--! include (\w+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script with the digest under which the server caches it."""

    name: str
    source: bytes
    sha: str

    @classmethod
    def of(cls, name: str, source: bytes) -> "Script":
        """Make a script of its source."""
        return cls(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


@dataclass(slots=True)
class Call(Generic[T]):
    """One run of a script: what to send, and how to read the answer.

    Every key of a call carries the same hash tag, so `keys[0]` is enough to route it in a Cluster.
    `decode` gets the raw reply (bytes, int, None or nested lists of them; nothing is decoded as text).
    """

    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]
    decode: Callable[[Any], T]

    def command(self, *, by_source: bool = False) -> tuple[Argument, ...]:
        """Return the words of the command: `EVALSHA` by default, `EVAL` to a server that may not hold the script."""
        head = ("EVAL", self.script.source) if by_source else ("EVALSHA", self.script.sha)
        return (*head, len(self.keys), *self.keys, *self.args)


@cache
def load(name: str) -> Script:
    """Read `lua/<name>.lua` with its includes."""
    return Script.of(name, _read(name, set()).encode())


def _read(name: str, included: set[str]) -> str:
    if name in included:
        return ""
    included.add(name)
    text = files("rota.wire").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: _read(match[1], included), text)
