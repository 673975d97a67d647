"""The random numbers of Rota, apart from those of the program in which it runs, and random IDs.

Functions of users call `random.seed`, as machine learning does. If Rota drew from the same numbers, all workers would
then wait equally long before they try something again, and a test of the user that counts on a seed would change with
every task that Rota runs beside it.
"""

import os
import random
import time
from uuid import UUID

RANDOM = random.Random()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=RANDOM.seed)  # else a child would draw the numbers of its parent again

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_HIGH = (1 << 12) - 1
_RANDOM_LOW = (1 << 62) - 1


def uuid7() -> UUID:
    """Return a new UUID that sorts by its time (version 7, RFC 9562): 48 bits of milliseconds, and 74 random bits."""
    # The standard library has this from Python 3.14 on.
    bits = int.from_bytes(os.urandom(10))
    high = ((bits >> 62) & _RANDOM_HIGH) << 64
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=(milliseconds << 80) | _VERSION | high | _VARIANT | (bits & _RANDOM_LOW))
