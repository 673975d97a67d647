"""A scheduler process of a supervisor, beside its worker processes.

Only a supervisor starts this module. The settings come through the pipe, as for `rota.cli.child`.
"""

import os
import socket

from rota.app import Rota
from rota.cli.exit_limit import exit_limit
from rota.cli.run_scheduler import until_stopped
from rota.cli.supervised import run_supervised
from rota.scheduler.assembly import scheduler_of
from rota.scheduler.scheduler import Scheduler
from rota.scheduler.scheduler_health import process_status
from rota.supervisor.lifeline import Lifeline
from rota.supervisor.messages import Introduction, ProcessReport, ProcessSetup, plain_settings

REPORT_SECONDS = 0.5


def main() -> None:
    """Run the scheduler until the supervisor tells it to stop, or is gone."""
    run_supervised(_run)


async def _run(app: Rota, setup: ProcessSetup, lifeline: Lifeline) -> None:
    settings = app.settings
    broker = app.connect(settings)
    try:
        scheduler = scheduler_of(app, settings, broker)
        lifeline.send(Introduction(plain_settings(settings), socket.gethostname(), os.getpid(), scheduler.id))
        lifeline.start(lambda: _report(scheduler, app), {}, scheduler.stop, REPORT_SECONDS)
        with exit_limit():
            await until_stopped(scheduler)
    finally:
        await broker.aclose()


def _report(scheduler: Scheduler, app: Rota) -> ProcessReport:
    """Return a report. Runs in the lifeline's thread, so it only reads."""
    return ProcessReport(
        ready=scheduler.ready.is_set(),
        stopping=scheduler.stopping,
        status=process_status(scheduler, app.settings.health),
    )
