"""One record in the log of Rota is one line, whatever a name in it holds.

The names of types, queues, groups and tasks come from any program, and so do error texts. A line feed in one of them
would forge a line of the log, and an escape sequence would be obeyed by a terminal. So each character that cannot be
printed is written as an escape (`\\n`, `\\x1b`). Tracebacks are not part of a message and keep their lines.
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
"""Every logger of Rota: a filter of a logger does not see the records of the loggers below it."""


def printable(text: str) -> str:
    """Return text with an escape for each character that cannot be printed."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(record: logging.LogRecord) -> bool:
    """Make the message of a record printable; a filter that drops nothing."""
    try:
        message = record.getMessage()
    except Exception:
        return True  # the handler reports it
    if not message.isprintable():
        record.msg, record.args = printable(message), ()
    return True


def install() -> None:
    """Make every logger of Rota write one line for each record."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(one_line)  # adding it again changes nothing
