"""Reads the size limit of a server's replies: `client-output-buffer-limit` of the client class `normal`."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

NAME = "client-output-buffer-limit"
QUESTION = ("CONFIG", "GET", NAME)


class OutputLimit(NamedTuple):
    """Hard and soft limit in bytes (0 for no limit), and the seconds for which the soft limit may be exceeded."""

    hard: int
    soft: int
    soft_seconds: int

    @property
    def bytes(self) -> int:
        """The smaller of the two limits; 0 if there is no limit."""
        return min((limit for limit in (self.hard, self.soft) if limit), default=0)

    def __str__(self) -> str:
        return f"{NAME} normal {self.hard} {self.soft} {self.soft_seconds}"


def output_limit(reply: Any) -> OutputLimit | None:
    """Read the reply to `QUESTION`; None if it does not contain the limit."""
    if not isinstance(reply, Mapping):
        return None
    words = cast("Mapping[bytes, bytes]", reply).get(NAME.encode(), b"").split()
    numbers = words[words.index(b"normal") + 1 :][:3] if b"normal" in words else []
    return OutputLimit(*map(int, numbers)) if len(numbers) == 3 else None
