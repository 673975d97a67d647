"""The demo: asks for work, shows what comes of it, and checks every result."""

import asyncio
import signal
from dataclasses import dataclass, field
from time import monotonic

from examples.shop import database, paths
from examples.shop.display import Display
from examples.shop.fleet import JOBS, SHOP, Fleet
from examples.shop.journal import Journal
from examples.shop.ledger import Ledger
from examples.shop.mail_sink import MailSink
from examples.shop.rounds import Rounds
from examples.shop.site import ShopSite
from examples.shop.timetable import Timetable
from rota import Rota

ROUND_EVERY_SECONDS = 10
BEAT_EVERY_SECONDS = 5
LAST_ROUND_NEEDS_SECONDS = 8
GRACE_SECONDS = 60  # for what was asked for and has not ended


@dataclass(slots=True)
class Demo:
    """One run of the demo, for so many seconds or until Ctrl-C."""

    seconds: float | None
    server: str
    display: Display = field(default_factory=Display)
    _ledger: Ledger = field(init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._ledger = Ledger(Journal(paths.JOURNAL), self.display)

    async def run(self, url: str) -> bool:
        """Run all of it. Returns whether everything that was asked for was really done."""
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, self._stop.set)
        paths.HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.HOME.chmod(0o700)  # the journal and the mails hold personal data; an older demo may have made the folder
        self.display.title("The shop: background work on Rota")
        self.display.say(f"server: {self.server}")
        database.fill(paths.DATABASE, paths.SALES)
        if left := self._ledger.look_back():
            self.display.say(f"{left} tasks of the last run were kept on disk; they are done now")
        sink, site = MailSink(paths.MAIL_FOLDER), ShopSite()
        sink.start()
        site.start()
        try:
            await self._with_fleets(url, sink.address, site)
        finally:
            site.stop()
            sink.stop()
        return self._conclude()

    async def _with_fleets(self, url: str, mail_server: str, site: ShopSite) -> None:
        timetable = Timetable(site, self.display)
        shop = {"ROTA_URL": url, "SHOP_HOME": str(paths.HOME), "SHOP_SMTP": mail_server}
        jobs = {"ROTA_URL": url, "JOBS_SMTP": f"smtp://{mail_server}", **timetable.environment}
        fleets = [await Fleet.start(SHOP, paths.WORKER_LOG, shop), await Fleet.start(JOBS, paths.JOBS_LOG, jobs)]
        self.display.say(f"a worker with two processes has started; its log is {paths.WORKER_LOG}")
        self.display.say(f"a worker for the ready-made jobs has started; its log is {paths.JOBS_LOG}")
        watch = asyncio.create_task(self._watch(fleets))
        try:
            await self._with_timetable(url, timetable)
        finally:
            watch.cancel()
            for wrong in [await fleet.stop() for fleet in fleets]:
                if wrong:
                    self._ledger.fault(wrong)
            self._ledger.read()

    async def _with_timetable(self, url: str, timetable: Timetable) -> None:
        """Ask for work while a scheduler fires the schedules, and wait for the end of both."""
        enough = asyncio.Event()
        async with Rota(url) as app:
            following = asyncio.create_task(timetable.follow(app, enough))
            try:
                await self._ask()
                enough.set()
                await following
                await asyncio.gather(self._drain(), timetable.settle(app, self._stop, GRACE_SECONDS))
            finally:
                following.cancel()
        self._ledger.faults += len(timetable.faults)
        self.display.say(timetable.conclude())

    async def _ask(self) -> None:
        """Enqueue rounds and heartbeats, each at its time."""
        rounds = Rounds(self._ledger.journal)
        started = monotonic()
        tick = 0
        while not self._stop.is_set():
            if tick % ROUND_EVERY_SECONDS == 0:
                self.display.title(f"Round {rounds.number}")
                for line in await rounds.enqueue():
                    self.display.enqueued(line)
            await rounds.enqueue_heartbeat(BEAT_EVERY_SECONDS)
            tick += BEAT_EVERY_SECONDS
            if self.seconds is not None and tick > self.seconds - LAST_ROUND_NEEDS_SECONDS:
                return
            await self._stopped_within(started + tick - monotonic())

    async def _drain(self) -> None:
        """Wait for the end of all that was asked for. After Ctrl-C, what waits is left for the next run."""
        until = monotonic() + GRACE_SECONDS
        self._ledger.read()  # the last round is in the journal, and not yet counted
        while self._ledger.waiting and not self._stop.is_set():
            if monotonic() > until:
                self._ledger.fault(f"{self._ledger.waiting} tasks did not end within {GRACE_SECONDS} s")
                return
            await self._stopped_within(0.1)

    async def _watch(self, fleets: list[Fleet]) -> None:
        while not any(fleet.ended for fleet in fleets):
            self._ledger.read()
            await asyncio.sleep(0.1)
        self._stop.set()

    async def _stopped_within(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), max(0, seconds))
        except TimeoutError:
            return

    def _conclude(self) -> bool:
        self.display.summary(paths.RESULTS, waiting=self._ledger.waiting, faults=self._ledger.faults)
        self._ledger.close()
        return not self._ledger.faults
