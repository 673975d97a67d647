"""What clients that block have in common."""

from types import TracebackType
from typing import Self


class BlockingProducer:
    """Enqueues one by one where the library has no bulk call; threads only slow it down (one GIL)."""

    def enqueue(self, n: int) -> None:
        """Send one task; each contender says how."""
        raise TypeError(f"{type(self).__name__} does not say how it enqueues")

    def enqueue_many(self, numbers: range) -> None:
        """Send many tasks, the fastest way."""
        for n in numbers:
            self.enqueue(n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the connections to the end of the process."""
