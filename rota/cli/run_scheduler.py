"""Runs one scheduler in this process until INT or TERM. No function of the app runs here, only its declarations do."""

import asyncio
import gc
import signal
from contextlib import AsyncExitStack, ExitStack

from rota import events
from rota.app import Rota
from rota.cli.exit_limit import exit_limit
from rota.cli.run_worker import program_runner, while_parent_lives
from rota.health import discovery
from rota.scheduler.assembly import scheduler_of
from rota.scheduler.scheduler import Scheduler
from rota.scheduler.scheduler_health import answering_for


def run_scheduler(app: Rota, *, follow_parent: bool = False) -> None:
    """Run the scheduler until it is stopped. It waits for a server that is away."""
    with program_runner() as runner:
        runner.run(_run(app, follow_parent))


async def _run(app: Rota, follow_parent: bool) -> None:
    settings = app.settings
    async with AsyncExitStack() as stack:
        broker = app.connect(settings)
        stack.push_async_callback(broker.aclose)
        scheduler = scheduler_of(app, settings, broker)
        if follow_parent:
            await stack.enter_async_context(while_parent_lives(scheduler.stop))
        stack.enter_context(answering_for(scheduler, settings.health, discovery.own_socket(settings.health.health_dir)))
        with exit_limit():
            await until_stopped(scheduler)


async def until_stopped(scheduler: Scheduler) -> None:
    """Run a scheduler that stops on INT and TERM."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, scheduler.stop)
            stack.callback(loop.remove_signal_handler, number)
        events.emit(events.SchedulerStarted(scheduler=scheduler.name))
        frozen = asyncio.create_task(_freeze_when_ready(scheduler))
        stack.callback(frozen.cancel)
        await scheduler.run()
        events.emit(events.SchedulerStopped(scheduler=scheduler.name))


async def _freeze_when_ready(scheduler: Scheduler) -> None:
    """Spare the collector what the start has made: the store's packages, and the schedules.

    A full collection walked through them and stopped the loop for 100 ms, which delayed what was due meanwhile.
    """
    await scheduler.ready.wait()
    gc.freeze()
