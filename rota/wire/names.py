"""IDs and names, as text in Python and as bytes on the wire.

Clients of Rota and Asynq write UTF-8 only. Another program can put other bytes into a list of tasks or of queues.
`text` keeps such bytes as lone surrogates, so that `raw` returns the very same bytes: a task with such an ID can be
archived.
"""

NOT_UTF8 = "the ID of the task is not UTF-8: no client of Asynq or Rota can have written it"


def text(raw: bytes) -> str:
    """Read an ID or a name; bytes that are not UTF-8 become lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def raw(text: str) -> bytes:
    """Write an ID or a name that `text` has read."""
    return text.encode("utf-8", "surrogateescape")


def shown(name: str) -> str:
    """Return a name that can be part of a message: a byte that is not UTF-8 becomes U+FFFD."""
    return name if name.isascii() else raw(name).decode("utf-8", "replace")


def is_utf8(name: str) -> bool:
    """Tell whether a name can be part of a message: it holds no lone surrogate."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
