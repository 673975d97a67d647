"""Chooses between `EVAL` and `EVALSHA`: a connection sends the source of a script once, then only its digest."""

from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from hiredis import ReplyError

from rota.wire.script import Argument, Call, Script, shifted

T = TypeVar("T")
Words = tuple[Argument, ...]


class ScriptCache:
    """The scripts that one connection has sent.

    A request that gets NOSCRIPT has to be sent again, after requests that were sent meanwhile. Because the first
    request of each script carries the source, this happens only after a SCRIPT FLUSH, or if the server refused the
    first request before it loaded the script. With `guarded`, scripts get an extra key (see the function `guarded`).
    With `test_clock` they read the clock of a test (see `rota.wire.script`).
    """

    def __init__(self, *, guarded: bool = False, test_clock: bool = False) -> None:
        self._guarded = guarded
        self._test_clock = test_clock
        self._changes = guarded or test_clock
        self._sent: set[str] = set()

    def words(self, call: Call[T]) -> Words:
        """Return the command of a call that is about to be sent."""
        if self._changes:
            call = self._whole(call)
        sha, keys = call.script.sha, call.keys
        if sha in self._sent:
            # The same as `call.command()`, which would cost one more call for each request.
            return ("EVALSHA", sha, len(keys), *keys, *call.args)
        self._sent.add(sha)
        return call.command(by_source=True)

    def again(self, calls: Iterable[Call[T]]) -> list[Words]:
        """Return the commands of calls that got NOSCRIPT: each source once, digests for the other calls."""
        calls = list(calls)
        self._sent.difference_update(self._whole(call).script.sha for call in calls)
        return [self.words(call) for call in calls]

    def _whole(self, call: Call[T]) -> Call[T]:
        if self._test_clock:
            return Call(shifted(call.script), call.keys, call.args, call.decode)
        return guarded(call) if self._guarded and "{" in call.keys[0] else call


def guarded(call: Call[T]) -> Call[T]:
    """Add a key that is never written, so that no node runs the call while its slot is being migrated.

    A Cluster node checks only the keys that a command declares. During the migration of a slot each of the two nodes
    holds a part of the queue. A script on either node would take the other part for deleted: it would drop tasks, or
    stop halfway. Because the extra key exists on neither node, both reply TRYAGAIN (or ASK, and then TRYAGAIN) until
    the slot has moved.
    """
    script = _guarded(call.script)
    return call if script is None else Call(script, (*call.keys, f"{call.keys[0]}:moving"), call.args, call.decode)


@cache
def _guarded(script: Script) -> Script | None:
    if script.source.startswith(b"#!"):  # `#!lua` must stay the first line; this script reads no keys
        return None
    return Script.of(script.name, b"table.remove(KEYS) " + script.source)


def is_unknown_script(reply: object) -> bool:
    """Whether the server replied that it does not know the script of a call."""
    return isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT")
