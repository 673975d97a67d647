"""Log lines of a command: coloured on a terminal, plain elsewhere. An app that set up logging itself is left alone."""

import logging
import sys
from typing import Literal

from rich.console import Console
from rich.logging import RichHandler

LogLevel = Literal["debug", "info", "warning", "error"]


def set_up(level: LogLevel) -> None:
    """Send log lines to standard error."""
    root = logging.getLogger()
    if root.handlers:
        return
    if sys.stderr.isatty():
        handler: logging.Handler = RichHandler(console=Console(stderr=True), show_path=False, rich_tracebacks=False)
        handler.setFormatter(logging.Formatter("[%(process)d] %(message)s", datefmt="%H:%M:%S"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(level.upper())
