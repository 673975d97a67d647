"""Keeps each message in the log of Rota on one line.

Any program can choose the names of types, queues, groups and tasks, and error texts. A line feed in one of them could
forge a line of the log, and a terminal would execute an escape sequence. So each character that is not printable is
written as an escape (`\\n`, `\\x1b`). Tracebacks are not part of a message and keep their lines.
"""

import logging

LOGGERS = (
    "rota",
    "rota.broker",
    "rota.client",
    "rota.client.replicas",
    "rota.health",
    "rota.supervisor",
    "rota.task",
    "rota.worker",
)
"""Every logger of Rota. Each needs the filter, because a logger's filter is not applied to its child loggers."""


def printable(text: str) -> str:
    """Return a text in which each character that is not printable is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(record: logging.LogRecord) -> bool:
    """Make the message of a record printable. A logging filter that keeps every record."""
    try:
        message = record.getMessage()
    except Exception:
        return True  # the message cannot be formatted, which the handler reports
    if not message.isprintable():
        record.msg, record.args = printable(message), ()
    return True


def install() -> None:
    """Add the filter `one_line` to every logger of Rota."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(one_line)  # adding it again changes nothing
