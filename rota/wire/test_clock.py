"""A clock for tests, which can be moved and stopped: each script of a connection reads it instead of the server's.

All times in Redis come from the server's clock, which a test cannot set. So `shifted` puts a prologue before a script,
in which `TIME` adds an offset that is stored in the database. Every program whose URL has `test_clock=1` shares the
clock of its database. The scripts themselves do not change, and other connections do not pay for it.
"""

from functools import cache
from typing import Literal

from rota.wire.script import Call, Script, load

KEY = "rota:test_clock"


@cache
def shifted(script: Script) -> Script:
    """Return the script with the prologue. A script with flags (`#!lua`) does not read the time and stays as it is."""
    if script.source.startswith(b"#!"):
        return script
    return Script.of(script.name, load("test_clock").source + script.source)


def set_test_clock(act: Literal["move", "freeze", "resume", "read"], by_us: int = 0) -> Call[int]:
    """Move the clock by some microseconds, stop it, or let it go on; return the time that it shows, in microseconds."""
    return Call(load("set_test_clock"), (KEY,), (act, by_us), int)
