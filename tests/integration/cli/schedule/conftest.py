"""`rota schedule` in this process, on an SQLite store of its own for each test."""

from functools import partial

import pytest

from tests.integration.cli.conftest import Run

__all__ = ["Run", "rota"]


@pytest.fixture
def rota(command: Run) -> Run:
    """Run `rota schedule ...`."""
    return partial(command, "schedule")
