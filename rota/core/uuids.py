"""Random IDs that sort by the time at which they were made (UUID version 7, RFC 9562)."""

import os
import time
from uuid import UUID

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_HIGH = (1 << 12) - 1
_RANDOM_LOW = (1 << 62) - 1


def uuid7() -> UUID:
    """Return a new UUID of version 7: 48 bits of milliseconds, and 74 random bits."""
    # The standard library has this from Python 3.14 on.
    random = int.from_bytes(os.urandom(10))
    high = ((random >> 62) & _RANDOM_HIGH) << 64
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=(milliseconds << 80) | _VERSION | high | _VARIANT | (random & _RANDOM_LOW))
