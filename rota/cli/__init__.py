"""The command line: `rota worker`, `rota dev`, `rota enqueue`, `rota health`, `rota doctor` and more."""

from rota.cli.program import main

__all__ = ["main"]
