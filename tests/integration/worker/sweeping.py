"""A sweeper with all that it gives work to, as a worker makes it, for one broker and some queues."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from rota.broker import Broker
from rota.wire.recover import Slack
from rota.wire.sweep import SweepLimits
from rota.worker.housekeeping.election import Election
from rota.worker.housekeeping.forwarder import Forwarder
from rota.worker.housekeeping.janitor import Janitor
from rota.worker.housekeeping.reconciler import Reconciler
from rota.worker.housekeeping.recoverer import Recoverer, Recovery
from rota.worker.housekeeping.sweeper import Sweeper, SweepSteps
from tests.integration.worker.yard import QUEUE, Yard

LIMITS = SweepLimits(Slack(timedelta(seconds=5), timedelta(seconds=30)), 1000, timedelta(days=90))
NOW = timedelta(0)


class Broom:
    """The sweeper of one worker, and what it told the fetcher."""

    def __init__(
        self,
        broker: Broker,
        queues: Iterable[str],
        owner: str = "one",
        *,
        every: timedelta = timedelta(seconds=60),
        delay: timedelta = NOW,
        limits: SweepLimits = LIMITS,
        **parts: Any,
    ) -> None:
        self.noted: list[str | None] = []
        self.forwarder = parts.get("forwarder") or Forwarder(broker, limit=1000)
        self.janitor = Janitor(broker, limits.archive_size, limits.archive_age, limit=1000)
        self.recoverer = Recoverer(broker, lambda _: Recovery(NOW), slack=limits.slack)
        self.reconciler = Reconciler(broker, delay=delay)
        self.sweeper = Sweeper(
            broker,
            lambda: list(queues),
            Election(broker, owner, every, limits),
            limits,
            SweepSteps(self.forwarder, self.janitor, self.recoverer, self.reconciler),
            note=self.noted.append,
            every=every,
        )

    async def sweep(self) -> timedelta | None:
        return await self.sweeper.sweep()

    @property
    def swept(self) -> int:
        return self.sweeper.statistics().sweeps


async def repair(yard: Yard, reconciler: Reconciler) -> dict[str, int]:
    """Look, look again and repair; return what was repaired."""
    await reconciler.reconcile([QUEUE])
    await reconciler.repair()
    counted = await yard.execute("HGETALL", yard.keys.repaired)
    pairs = counted.items() if isinstance(counted, dict) else zip(counted[::2], counted[1::2], strict=True)
    return {kind.decode(): int(number) for kind, number in pairs}
