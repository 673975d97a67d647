"""Connects the apps to the sandbox of each test that asks for `rota_sandbox`."""

import pytest

import failing
import groups
import tasks
from rota import Rota


@pytest.fixture
def rota_apps() -> list[Rota]:
    return [tasks.app, failing.app, groups.app]
