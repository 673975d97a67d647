"""Which queue names this client has put into the set of all queues, and when."""

import time

REPEAT_SECONDS = 5.0
"""A small command for each busy queue; patterns and Asynq's tools see only queues that are in the set."""


class Published:
    """The memory of one client. A name is repeated now and then.

    Asynq's clients publish it once: after a `FLUSHDB`, or when somebody deleted the queue, they go on filling a
    queue that nobody sees.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def is_due(self, queue: str) -> bool:
        """Whether the name has to be published before the next task."""
        return self._until.get(queue, 0.0) < time.monotonic()

    def note(self, queue: str) -> None:
        """Remember that the server has the name."""
        self._until[queue] = time.monotonic() + REPEAT_SECONDS
