"""Tests for programs that use Rota: a sandbox on a real server, a clock that can be moved, and runs without a server.

`Sandbox(app)` gives a test an empty server, to which the app is connected until the block ends:

    with Sandbox(app) as sandbox:
        welcome.options(delay="1h").enqueue_sync(7)
        sandbox.assert_enqueued(welcome, user_id=7)
        sandbox.clock.travel("1h")
        [run] = sandbox.drain_sync()

The pytest plugin (`pytest_rota`) gives the same as the fixture `rota_sandbox`. `run_inline` runs one handler without a
server. docs/testing.md shows all of it.
"""

from rota.testing.drain import DrainError
from rota.testing.inline import run_inline, run_inline_sync
from rota.testing.joined_app import TaskRun
from rota.testing.sandbox import Sandbox
from rota.testing.sandbox_server import SandboxServer
from rota.testing.travel import SandboxClock

__all__ = [
    "DrainError",
    "Sandbox",
    "SandboxClock",
    "SandboxServer",
    "TaskRun",
    "run_inline",
    "run_inline_sync",
]
