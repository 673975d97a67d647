"""Requests that are carried out once, however often they are sent: each sender numbers its own.

The idea is Kafka's idempotent producer (KIP-98): the server keeps the last number of each sender, and what it answered.
"""

from functools import cache
from typing import TypeVar

from rota.wire.keys import QueueKeys
from rota.wire.script import Call, Script, load

T = TypeVar("T")

_BODY = b"--! body\n"
_BY_THEMSELVES = {"enqueue_plain"}
"""Scripts that keep the memory of the sender by themselves, because they are sent so often."""


def memory_key(keys: QueueKeys, sender: str) -> str:
    """The last request of a sender to a queue, and what was answered."""
    return keys.own(f"sent:{sender}")


def once(call: Call[T], memory: str, number: int, life_seconds: int) -> Call[T]:
    """Return the call as one request of a sender: sent again, it does nothing, and gets the same answer.

    `memory` is the sender's `memory_key`. A sender sends one request after the other, under rising numbers of at most
    16 digits. The server remembers the last one for `life_seconds` at least.
    """
    # The scripts compare numbers as text.
    return Call(
        _script(call.script.name),
        (*call.keys, memory),
        (*call.args, f"{number:016}", life_seconds),
        call.decode,
    )


@cache
def _script(name: str) -> Script:
    if name in _BY_THEMSELVES:
        return load(name)
    around, body = load("once").source, load(name).source
    return Script.of(f"{name} once", around.replace(_BODY, body))
