"""Reads the names in the set of all queues, to which any program can write."""

import logging
from collections.abc import Iterable

from rota.wire.names import is_utf8, text

logger = logging.getLogger("rota.broker")

MOST_REPORTED = 100
_reported: set[bytes] = set()


def read_queue_names(found: Iterable[bytes]) -> list[str]:
    """Return the names in sorted order. A name that is not UTF-8 is skipped, and logged once in this process."""
    names: list[str] = []
    for raw in found:
        name = text(raw)
        if is_utf8(name):
            names.append(name)
        elif raw not in _reported and len(_reported) < MOST_REPORTED:
            _reported.add(raw)
            logger.warning(
                "Skipped the queue name %r in the set of all queues: it is not UTF-8, so no client of Asynq or Rota "
                "can have written it. SREM removes it.",
                raw,
            )
    return sorted(names)
