"""Reads the names in the set of all queues, to which any program can write."""

from collections.abc import Iterable

from rota import events
from rota.wire.names import is_utf8, text

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
            events.emit(events.QueueNameSkipped(name=raw))
    return sorted(names)
