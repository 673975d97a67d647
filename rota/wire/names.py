"""IDs, names and error texts, as text in Python and as bytes on the wire.

Clients of Rota and Asynq write UTF-8 only. Another program can put other bytes into a list of tasks or of queues.
`text` keeps such bytes as lone surrogates, so that `raw` returns the very same bytes: a task with such an ID can be
archived.
"""

MAX_ERROR_BYTES = 8192
_CUT = "…"

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


def clean_text(text: str, max_bytes: int = MAX_ERROR_BYTES) -> str:
    """Make an error text storable: valid UTF-8, at most `max_bytes` long.

    Go refuses a message with invalid UTF-8, and a retry that cannot be encoded leaves the task active for ever.
    """
    if len(text) <= max_bytes and text.isascii():
        return text
    data = text.encode("utf-8", "replace")
    if len(data) > max_bytes:
        data = data[: max_bytes - len(_CUT.encode())] + _CUT.encode()
    return data.decode("utf-8", "ignore")
