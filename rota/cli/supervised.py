"""The frame of every program that the supervisor starts: reads its setup, loads the app, and runs its part of the work.

The kinds of processes (`rota.supervisor.kind`) differ in the coroutine that they hand to `run_supervised`.
"""

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from rota.app import Rota
from rota.broker import dev_server
from rota.cli import output
from rota.cli.run_worker import program_runner
from rota.cli.target import load_app
from rota.errors import RotaError
from rota.settings.origin import read_project_file
from rota.supervisor.lifeline import Lifeline
from rota.supervisor.messages import ProcessSetup
from rota.tasks import logs

Run: TypeAlias = Callable[[Rota, ProcessSetup, Lifeline], Coroutine[Any, Any, None]]


def run_supervised(run: Run) -> None:
    """Run until the supervisor tells the process to stop, or is gone. An error of Rota ends it with one line."""
    lifeline = Lifeline.on_standard_input()
    setup = lifeline.read_setup()
    dev_server.silence()
    read_project_file()
    try:
        app = load_app(setup.target)
        app.settings = app.settings.updated_by(setup.said)  # so that tasks that enqueue use them too
        logs.set_up(setup.log_level, app.settings.logging.log)
        with program_runner() as runner:
            runner.run(run(app, setup, lifeline))
    except RotaError as error:
        sys.exit(output.explain(error))
