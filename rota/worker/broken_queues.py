"""Queues that are not served, because one of their keys is of another type."""

import logging

logger = logging.getLogger("rota.worker")

LOOK_AGAIN_SECONDS = 5.0


class BrokenQueues:
    """Says of each once that it is broken, and once that it is served again."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def note(self, queue: str, key: str) -> None:
        """Learn which key of a queue is broken; "" for none."""
        known = self._keys.get(queue, "")
        if key == known:
            return
        if key:
            self._keys[queue] = key
            logger.error(
                "Queue %s is not served: its key %s is of another type, so some other program has written it. "
                "Delete or rename the key; the other queues are served meanwhile.",
                queue,
                key,
            )
        else:
            del self._keys[queue]
            logger.warning("Queue %s is served again.", queue)
