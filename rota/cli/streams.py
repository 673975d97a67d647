"""Repairs the standard streams and arguments of a command before anything is read or printed."""

import os
import sys

from rota.settings.values import as_utf8


def prepare() -> None:
    """Open the standard streams that the caller closed, and cope with a locale that is not UTF-8.

    A closed stream is opened on the null device, because otherwise the first printed line would end the command, and
    the next file or socket would get the number of the stream. A character that the encoding of an output lacks is
    written as an escape. Arguments are decoded as UTF-8.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # opens the lowest free number, which is `number`
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if callable(reconfigure := getattr(stream, "reconfigure", None)):
            reconfigure(errors="backslashreplace")
    sys.argv[1:] = map(as_utf8, sys.argv[1:])
