"""Requests that are carried out once, however often they are sent: each sender numbers its own.

The idea is Kafka's idempotent producer (KIP-98): the server keeps the last number of each sender, and what it answered.
"""

from functools import cache
from typing import NamedTuple, TypeVar

from rota.wire.keys import QueueKeys
from rota.wire.script import Call, Script, load

T = TypeVar("T")

_BODY = b"--! body\n"
_BY_THEMSELVES = {"enqueue_plain"}
"""Scripts that keep the memory of the sender by themselves, because they are sent so often."""


class Stamp(NamedTuple):
    """Which request of which sender. A sender sends one after the other, under rising numbers."""

    memory: str
    """The key of the sender: see `memory_key`."""
    number: int
    """Written with 16 digits: the scripts compare numbers as text."""
    life_seconds: int
    """How long the server remembers it, at least."""


def memory_key(keys: QueueKeys, sender: str) -> str:
    """The last request of a sender to a queue, and what was answered."""
    return keys.own(f"sent:{sender}")


def once(call: Call[T], stamp: Stamp) -> Call[T]:
    """Return the call under a stamp: sent again, it does nothing and gets the same answer, even if its task is gone."""
    return Call(
        _script(call.script.name),
        (*call.keys, stamp.memory),
        (*call.args, f"{stamp.number:016}", stamp.life_seconds),
        call.decode,
    )


@cache
def _script(name: str) -> Script:
    if name in _BY_THEMSELVES:
        return load(name)
    around, body = load("once").source, load(name).source
    return Script.of(f"{name} once", around.replace(_BODY, body))
