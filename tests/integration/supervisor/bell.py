"""A process that is no worker: what a second kind of child needs, and nothing else.

It stops on TERM, but not before the file in `BELL_HOLDS` is gone. With `BELL_REFUSES` it ends before it is ready.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from rota.health.process_status import ProcessStatus
from rota.settings.settings import Settings
from rota.supervisor.lifeline import Lifeline
from rota.supervisor.messages import Introduction, ProcessReport, plain_settings


def main() -> None:
    lifeline = Lifeline.on_standard_input()
    setup = lifeline.read_setup()
    if "BELL_REFUSES" in os.environ:
        sys.exit(2)
    settings = Settings().updated_by(setup.said)
    lifeline.send(Introduction(plain_settings(settings), "here", os.getpid()))
    asyncio.run(ring(lifeline))


async def ring(lifeline: Lifeline) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)

    def report() -> ProcessReport:
        now, status = time.monotonic(), "closed" if stop.is_set() else "active"
        status = ProcessStatus(
            worker="", kind="bell", pid=os.getpid(), status=status, taken_at=now, beat_at=now, turned_at=now
        )
        return ProcessReport(ready=True, stopping=stop.is_set(), status=status)

    lifeline.start(report, {}, stop.set, 0.05)
    await stop.wait()
    holds = os.environ.get("BELL_HOLDS")
    while holds and Path(holds).exists():
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    main()
