"""How a connection names scripts: with the source the first time, by the digest from then on."""

from collections.abc import Iterable
from typing import Any

from hiredis import ReplyError

from rota.wire.script import Argument, Call

Words = tuple[Argument, ...]


class Sources:
    """Which scripts one connection has sent.

    A request that is turned down with NOSCRIPT has to be sent again, behind whatever was sent meanwhile. Since the
    first one takes the source along, that happens only after a SCRIPT FLUSH, or where the first was refused unread.
    """

    def __init__(self) -> None:
        self._sent: set[str] = set()

    def words(self, call: Call[Any]) -> Words:
        """Return the command of a call that is about to be sent."""
        sha = call.script.sha
        if sha in self._sent:
            return call.command()
        self._sent.add(sha)
        return call.command(by_source=True)

    def again(self, calls: Iterable[Call[Any]]) -> list[Words]:
        """Return the commands of calls whose scripts the server lacks: each source once, then digests again."""
        calls = list(calls)
        self._sent.difference_update(call.script.sha for call in calls)
        return [self.words(call) for call in calls]


def is_unknown_script(reply: object) -> bool:
    """Tell whether the server lacks the script of a call."""
    return isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT")
