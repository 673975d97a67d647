"""Who sends: each request goes out under the number of a sender, so that the server carries it out once."""

import os
import time
from secrets import token_hex
from typing import TypeVar
from weakref import WeakSet

from rota.wire.keys import QueueKeys
from rota.wire.once import memory_key, once
from rota.wire.script import Call

T = TypeVar("T")

MEMORY_SECONDS = 3600
"""A request is sent again within seconds; only a buffer may hold one for longer."""


class Sender:
    """Sends to one queue, one request after the other: the next one only when the one before is over.

    Over is also one that was given up. Should it arrive later, the server refuses it for its low number.
    """

    def __init__(self, keys: QueueKeys, life_seconds: int = MEMORY_SECONDS) -> None:
        self.keys = keys
        self._memory = memory_key(keys, token_hex(6))
        self._life_seconds = life_seconds
        self._number = 0

    def once(self, call: Call[T]) -> Call[T]:
        """Put the next number on a call. What this returns may be sent as often as it takes."""
        # The time, so that two copies of this process (a machine that was cloned) do not use the same numbers.
        self._number = max(self._number + 1, time.time_ns() // 1000)
        return once(call, self._memory, self._number, self._life_seconds)


class Senders:
    """As many senders for each queue as requests were under way at once. Safe in threads and over a fork."""

    def __init__(self) -> None:
        self._free: dict[QueueKeys, list[Sender]] = {}
        _pools.add(self)

    def take(self, keys: QueueKeys) -> Sender:
        """Take one that nobody uses. Whoever is cancelled may keep it: another one is made."""
        try:
            return self._free[keys].pop()
        except (KeyError, IndexError):
            return Sender(keys)

    def give(self, sender: Sender) -> None:
        """Give one back, its request being over."""
        self._free.setdefault(sender.keys, []).append(sender)

    def forget(self) -> None:
        """Leave all of them to the parent process."""
        self._free.clear()


_pools: "WeakSet[Senders]" = WeakSet()


def _forget_all() -> None:
    for pool in _pools:
        pool.forget()


# Parent and child would otherwise send under the same numbers, and each take the other's request for its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
