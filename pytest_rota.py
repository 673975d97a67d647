"""The pytest plugin of Rota: fixtures that give a test a sandbox (`rota.testing`).

pytest imports this file in every run of an environment that has Rota. So it does not belong to the package `rota`,
which is imported only when a test asks for a fixture. The fixtures work in plain, asyncio and anyio tests.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rota import Rota
    from rota.testing import Sandbox, SandboxServer


@pytest.fixture(scope="session")
def rota_server() -> "Iterator[SandboxServer]":
    """The server of this process: each process of pytest-xdist has its own."""
    from rota.testing import SandboxServer

    with SandboxServer() as server:
        yield server


@pytest.fixture
def rota_apps() -> "Sequence[Rota] | Rota":
    """The apps that `rota_sandbox` connects to its server. Override it in `conftest.py`: `return [app]`."""
    return ()


@pytest.fixture
def rota_sandbox(rota_server: "SandboxServer", rota_apps: "Sequence[Rota] | Rota") -> "Iterator[Sandbox]":
    """An empty server, to which the apps of `rota_apps` are connected until the test ends."""
    from rota.testing import Sandbox

    apps = rota_apps if isinstance(rota_apps, Iterable) else [rota_apps]
    with Sandbox(*apps, server=rota_server) as sandbox:
        yield sandbox
