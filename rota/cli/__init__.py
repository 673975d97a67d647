"""The command line: `rota worker`, `rota dev`, `rota enqueue`, `rota config`, `rota version`."""

from rota.cli.program import main

__all__ = ["main"]
