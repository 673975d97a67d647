"""Answers of many queues at once: one queue whose keys are broken must not keep the others from their turn."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rota.errors import BrokerError, BrokerUnavailable

T = TypeVar("T")
Q = TypeVar("Q")


class Answers:
    """Keeps the first refusal until the end. A broker that is away ends everything at once."""

    def __init__(self) -> None:
        self._refused: BrokerError | None = None

    def sort(self, asked: Iterable[Q], replies: Sequence[T | BrokerError]) -> list[tuple[Q, T]]:
        """Return the good replies, each with what was asked."""
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
