"""Handles the replies for many queues at once, so that an error in one queue does not affect the others.

A queue is broken, and not served, when one of its keys has a Redis type that Asynq's keys do not have.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rota import events
from rota.errors import BrokerError, BrokerUnavailable

LOOK_AGAIN_SECONDS = 5.0


class BrokenQueues:
    """Logs once for each queue that it is broken, and once that it is served again."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def note(self, queue: str, key: str) -> None:
        """Note which key of a queue is broken; "" if none is."""
        known = self._keys.get(queue, "")
        if key == known:
            return
        if key:
            self._keys[queue] = key
            events.emit(events.QueueNotServed(queue=queue, key=key))
        else:
            del self._keys[queue]
            events.emit(events.QueueServedAgain(queue=queue))


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
