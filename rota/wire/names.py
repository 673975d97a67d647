"""Converts IDs, names and error texts between Python strings and bytes on the wire.

Clients of Rota and Asynq write only UTF-8, but another program can add other bytes to a list of tasks or queues. `text`
decodes such bytes to lone surrogates, and `raw` encodes these to the same bytes again, so that even a task with such an
ID can be archived. `read_queue_names` reads the set of all queues, to which any program can write.
"""

from collections.abc import Callable, Iterable
from operator import methodcaller

from rota import events

MAX_ERROR_BYTES = 8192
_CUT = "…"

NOT_UTF8 = "the ID of the task is not UTF-8: no client of Asynq or Rota can have written it"


# These are `methodcaller`s, because a worker decodes the ID of each task, and a function in Python would cost more.
text: Callable[[bytes], str] = methodcaller("decode", "utf-8", "surrogateescape")
"""Decode an ID or a name; bytes that are not UTF-8 become lone surrogates."""
raw: Callable[[str], bytes] = methodcaller("encode", "utf-8", "surrogateescape")
"""Encode an ID or a name that `text` has decoded, to the original bytes."""


def shown(name: str) -> str:
    """Return a name for use in a message, in which bytes that are not UTF-8 are replaced by U+FFFD."""
    return name if name.isascii() else raw(name).decode("utf-8", "replace")


def is_utf8(name: str) -> bool:
    """Whether a name can be part of a message, which means that it does not contain lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def clean_text(text: str, max_bytes: int = MAX_ERROR_BYTES) -> str:
    """Return an error text that can be stored: valid UTF-8, at most `max_bytes` long.

    Go cannot encode or decode a message with invalid UTF-8, so with such an error text a task would stay active for
    ever in Asynq (trap 5 in docs/asynq-differences.md).
    """
    if len(text) <= max_bytes and text.isascii():
        return text
    data = text.encode("utf-8", "replace")
    if len(data) > max_bytes:
        data = data[: max_bytes - len(_CUT.encode())] + _CUT.encode()
    return data.decode("utf-8", "ignore")


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
