"""What the keeper says of a process whose beat was late."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from rota.events import AboutProcess
from rota.settings.settings import Settings
from rota.supervisor.lease_keeper import LeaseKeeper
from rota.supervisor.messages import Introduction, ProcessReport
from rota.wire.keys import Keys
from rota.wire.script import Call


@dataclass
class Process:
    """One that last beat ten seconds ago."""

    beat_at: float = field(default_factory=lambda: time.monotonic() - 10)
    id: str = "w"
    about: AboutProcess = field(default_factory=lambda: AboutProcess(kind="worker", pid=7))
    pid: int = 7
    exit: None = None
    introduction: Introduction | None = None
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
    assert ("so the supervisor extends its leases" in caplog.text) is said


class Recorder:
    """A broker that notes the arguments of each call."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.sent: list[tuple[str, Any]] = []

    async def run(self, call: Call[bool]) -> bool:
        self.sent.append((call.script.name, call.args[-1]))
        return True

    async def run_many(self, calls: Iterable[Call[bool]]) -> list[bool]:
        return [await self.run(call) for call in calls]


async def test_the_records_of_a_late_process_live_for_two_of_its_intervals() -> None:
    process = Process(time.monotonic() - 100, introduction=Introduction({}, "h", 7, "s"))
    settings = Settings(heartbeat="20s", lease="60s").worker
    broker = Recorder()
    keeper = LeaseKeeper(broker, Served(process, beats=False), settings)  # type: ignore[arg-type]
    await keeper.look([process])  # type: ignore[list-item]
    assert broker.sent == [("owner_show", 40), ("server_list", 40), ("server_list", 40)]
