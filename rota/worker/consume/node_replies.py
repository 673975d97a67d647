"""Handles the replies for many queues at once, so that an error in one queue does not affect the others."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rota.errors import BrokerError, BrokerUnavailable

T = TypeVar("T")
Q = TypeVar("Q")


class NodeReplies:
    """Sorts the replies of several calls.

    The first refusal is kept and raised by `check`, after all queues had their turn. BrokerUnavailable is raised at
    once.
    """

    def __init__(self) -> None:
        self._refused: BrokerError | None = None

    def sort(self, asked: Iterable[Q], replies: Sequence[T | BrokerError]) -> list[tuple[Q, T]]:
        """Return the successful replies, each with the item of `asked` that it belongs to."""
        good: list[tuple[Q, T]] = []
        for each, reply in zip(asked, replies, strict=True):
            if isinstance(reply, BrokerUnavailable):
                raise reply
            if isinstance(reply, BrokerError):
                self.refuse(reply)
            else:
                good.append((each, reply))
        return good

    def refuse(self, error: BrokerError) -> None:
        """Note a refusal."""
        self._refused = self._refused or error

    def check(self) -> None:
        """Raise the first refusal, if there was one."""
        if self._refused is not None:
            raise self._refused
