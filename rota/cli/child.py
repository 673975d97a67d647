"""A worker process of a supervisor, which sends it instructions on standard input.

Only a supervisor starts this module. The settings come through the pipe and not as arguments, because they may hold
passwords.
"""

import asyncio
import signal
from functools import partial
from typing import Any

from rota.app import Rota
from rota.cli.exit_limit import exit_limit
from rota.cli.run_worker import Stopper, told
from rota.cli.summary import prepare
from rota.cli.supervised import run_supervised
from rota.supervisor.lifeline import Lifeline
from rota.supervisor.messages import QUIET, WAKE, Introduction, ProcessReport, ProcessSetup, plain_settings
from rota.worker import loop_guard
from rota.worker.burst import stop_when_empty
from rota.worker.worker import Worker

MOST_SECONDS = 0.5


def main() -> None:
    """Run the worker until the supervisor tells it to stop, or is gone."""
    run_supervised(_run)


async def _run(app: Rota, setup: ProcessSetup, lifeline: Lifeline) -> None:
    settings = app.settings
    # Before the introduction, so that only the first process of a fleet reports wrong settings.
    broker = app.connect(settings)
    worker = Worker(app, settings, id=setup.id, warns=False)  # `prepare` logs the warnings once for the fleet
    identity = worker.host, worker.pid, worker.server_id
    lifeline.send(Introduction(plain_settings(settings), *identity, app.declares_schedules))
    stopper = Stopper(worker)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopper.stop_gently)
    loop.add_signal_handler(signal.SIGINT, stopper.stop_at_once)
    worker.orders.supervised = True
    every = min(MOST_SECONDS, settings.worker.heartbeat.total_seconds() / 8)
    commands = {QUIET: partial(_quiet, worker), WAKE: partial(_wake, worker)}
    lifeline.start(lambda: _report(worker), commands, stopper.stop_gently, every)
    tasks: list[asyncio.Task[Any]] = []
    if setup.burst:
        tasks.append(asyncio.create_task(stop_when_empty(worker)))
    with exit_limit():
        try:
            if await prepare(
                setup.target, app, broker, stopper.asked, first=setup.first, show_banner=setup.show_banner
            ):
                with told(setup.target), loop_guard.guarded(loop, "stop"):
                    await worker.run()
        finally:
            for task in tasks:
                task.cancel()


def _quiet(worker: Worker) -> None:
    worker.orders.held_quiet = True
    worker.quiet()


def _wake(worker: Worker) -> None:
    worker.orders.held_quiet = False
    worker.wake()


def _report(worker: Worker) -> ProcessReport:
    """Return a report. Runs in the lifeline's thread, so it only reads and does not call into the event loop."""
    status = worker.status.read()
    if not worker.ready.is_set():
        return ProcessReport(stopping=worker.stopping, status=status)
    return ProcessReport(
        ready=True,
        stopping=worker.stopping,
        quiet=worker.heartbeat.status != "active",
        used=worker.slots.used,
        capacity=worker.slots.capacity,
        held=len(worker.executor.held),
        ended=sum(finished.recorded for _, finished in worker.consumers.statistics()),
        beat_at=worker.heartbeat.statistics().last_beat_at,
        queues=worker.queue_names(),
        types=worker.heartbeat.published,
        orders=list(worker.orders.passed_on),
        status=status,
    )
