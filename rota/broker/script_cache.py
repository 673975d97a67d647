"""How a connection names scripts: with the source the first time, by the digest from then on."""

from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from hiredis import ReplyError

from rota.wire.script import Argument, Call, Script

T = TypeVar("T")
Words = tuple[Argument, ...]


class ScriptCache:
    """Which scripts one connection has sent.

    A request that is turned down with NOSCRIPT has to be sent again, behind whatever was sent meanwhile. Since the
    first one takes the source along, that happens only after a SCRIPT FLUSH, or where the first was refused unread.
    To a node of a Cluster scripts go `guarded`.
    """

    def __init__(self, *, guarded: bool = False) -> None:
        self._guarded = guarded
        self._sent: set[str] = set()

    def words(self, call: Call[T]) -> Words:
        """Return the command of a call that is about to be sent."""
        if self._guarded:
            call = self._whole(call)
        sha, keys = call.script.sha, call.keys
        if sha in self._sent:
            # As `call.command()` would say it, without one more call for each request.
            return ("EVALSHA", sha, len(keys), *keys, *call.args)
        self._sent.add(sha)
        return call.command(by_source=True)

    def again(self, calls: Iterable[Call[T]]) -> list[Words]:
        """Return the commands of calls whose scripts the server lacks: each source once, then digests again."""
        calls = list(calls)
        self._sent.difference_update(self._whole(call).script.sha for call in calls)
        return [self.words(call) for call in calls]

    def _whole(self, call: Call[T]) -> Call[T]:
        return guarded(call) if self._guarded and "{" in call.keys[0] else call


def guarded(call: Call[T]) -> Call[T]:
    """Name one key more, which nobody ever writes, so that the call is not run while its slot moves.

    A node asks for the keys that a command names, and for no others. While a slot moves, a script that runs on either
    side would find a part of the queue missing, and not know it from gone: it would drop tasks, or stop half way. With
    a key that is missing on both sides, both answer TRYAGAIN (or ASK, and then TRYAGAIN) until the slot has moved.
    """
    script = _guarded(call.script)
    return call if script is None else Call(script, (*call.keys, f"{call.keys[0]}:moving"), call.args, call.decode)


@cache
def _guarded(script: Script) -> Script | None:
    if script.source.startswith(b"#!"):  # its first line must stay the first; it reads nothing
        return None
    return Script.of(script.name, b"table.remove(KEYS) " + script.source)


def is_unknown_script(reply: object) -> bool:
    """Tell whether the server lacks the script of a call."""
    return isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT")
