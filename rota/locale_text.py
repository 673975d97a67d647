"""Text of the command line and the environment, which Python decodes by the locale."""

import os


def as_utf8(text: str) -> str:
    """Return text as its UTF-8 bytes mean it, where the locale (ASCII, as in `LC_ALL=C`) could not decode them."""
    if text.isascii():
        return text
    try:
        return os.fsencode(text).decode() if any("\udc80" <= char <= "\udcff" for char in text) else text
    except UnicodeError:
        return text
