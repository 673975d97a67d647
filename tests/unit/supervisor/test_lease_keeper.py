"""What the keeper says of a process whose beat was late."""

import logging
import time
from dataclasses import dataclass, field

import pytest

from rota.events import AboutProcess
from rota.settings.settings import Settings
from rota.supervisor.lease_keeper import LeaseKeeper
from rota.supervisor.messages import ProcessReport


@dataclass
class Process:
    """One that last beat ten seconds ago."""

    beat_at: float = field(default_factory=lambda: time.monotonic() - 10)
    id: str = "w"
    about: AboutProcess = field(default_factory=lambda: AboutProcess(kind="worker", pid=7))
    pid: int = 7
    exit: None = None
    introduction: None = None
    report: ProcessReport = field(default_factory=lambda: ProcessReport(ready=True))


@dataclass
class Served:
    """The queues of a broker that was away: the process reaches it first, if `beats`."""

    process: Process
    beats: bool

    async def of(self, *processes: Process) -> list[str]:
        if self.beats:
            self.process.beat_at = time.monotonic()
        return []


@pytest.mark.parametrize(("beats", "said"), [(True, False), (False, True)], ids=["beaten-meanwhile", "late"])
async def test_a_process_that_has_beaten_while_the_broker_was_away_is_not_called_late(
    caplog: pytest.LogCaptureFixture, beats: bool, said: bool
) -> None:
    process = Process()
    keeper = LeaseKeeper(None, Served(process, beats), Settings().worker)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "rota.supervisor"):
        await keeper.look([process])  # type: ignore[list-item]
    assert ("has not beaten for" in caplog.text) is said
