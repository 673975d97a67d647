"""The sweeper: checks at intervals which queues need housekeeping, and calls the part that does it.

The steps of a sweep:

1. Ask to be elected (`election`). A worker that is not elected asks again after `TAKEN` intervals.
2. Check up to 64 queues with one script, which only reads, so that an idle fleet sends few requests.
3. Call the parts that have work to do: the forwarder for due tasks, the janitor for expired tasks, the recoverer for
   lost attempts, and the reconciler for active tasks without a lease. Wake the fetchers of queues with pending tasks.
4. Wait until the next sweep: for `every`, for `IDLE` intervals if all queues are empty, or until the next attempt
   whose lease has expired (or soon will) counts as dead.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from rota import events
from rota.broker.broker import Broker
from rota.core import faults
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable
from rota.tasks.policy import Retry
from rota.wire.recover import Slack
from rota.wire.sweep import MAX_QUEUES, Candidacy, Need, Seen, SweepLimits, elect, look
from rota.worker.housekeeping.election import Election
from rota.worker.housekeeping.forwarder import Forwarder
from rota.worker.housekeeping.janitor import Janitor
from rota.worker.housekeeping.reconciler import Reconciler
from rota.worker.housekeeping.recoverer import Recoverer, as_failure
from rota.worker.ticker import Ticker

if TYPE_CHECKING:
    from rota.worker.worker import Worker


SHORTEST_SECONDS = 0.1
"""The shortest wait until the next sweep, so that a repair in many parts leaves time to other clients of Redis."""
IDLE = 6
"""How many intervals to wait until the next sweep while all queues are empty."""
TAKEN = 3
"""How many intervals a worker that is not elected waits before it asks again. The election of a dead worker expires
after 1.25 intervals, so another worker is elected within these."""


@dataclass(frozen=True, slots=True)
class SweeperStatistics:
    """Counts since the start.

    `sweeps` were done by this worker, `left_to_others` by another one. `looks` are script calls, `errors` are failed
    sweeps, and `refused` are single steps that the server refused.
    """

    sweeps: int
    left_to_others: int
    looks: int
    errors: int
    refused: int


class SweepSteps(NamedTuple):
    """The parts that a sweep calls, in this order."""

    forwarder: Forwarder
    janitor: Janitor
    recoverer: Recoverer
    reconciler: Reconciler


class Sweeper:
    """Sweeps the queues that `queues` returns at that time.

    `note` is called for each queue with pending tasks, and with None if any queue may have some.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Callable[[], Iterable[str]],
        election: Election,
        limits: SweepLimits,
        steps: SweepSteps,
        *,
        note: Callable[[str | None], None],
        every: timedelta = timedelta(seconds=5),
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._election = election
        self._limits = limits
        self._steps = steps
        self._note = note
        self._ticker = Ticker("sweeper", every)
        self._counts: Counter[str] = Counter()
        self._said: set[str] = set()

    async def run(self) -> None:
        """Sweep until cancelled. At first no attempt is recovered, so that other workers can extend their leases."""
        self._steps.recoverer.hold()
        try:
            await self._ticker.keep(self._next)
        finally:
            await self._election.give_up()

    async def sweep(self) -> timedelta | None:
        """Sweep once if this worker is elected. Returns the time to the next sweep; None for the usual interval."""
        queues = list(self._queues())
        if not queues:
            return None
        candidacy = self._election.candidacy(queues)
        faults.reach("sweep:look")
        seen = await self._look(queues, candidacy)
        faults.answered("sweep:seen")
        if seen is None:
            self._counts["left_to_others"] += 1
            self._steps.reconciler.forget()  # the elected worker has its own; these would be old if it died
            return TAKEN * self._ticker.every
        for each in seen.values():
            self._steps.recoverer.note_time(each.now)
        async with self._election.kept(candidacy):
            await self._act(seen)
        self._counts["sweeps"] += 1
        return self._wait(seen)

    def statistics(self) -> SweeperStatistics:
        """Return a snapshot."""
        count = self._counts
        return SweeperStatistics(
            count["sweeps"], count["left_to_others"], count["looks"], self._ticker.errors, count["refused"]
        )

    async def _next(self) -> timedelta | None:
        try:
            return await self.sweep()
        except BrokerUnavailable:
            # After an outage all leases have expired, so the recoverer must wait. The fetchers are woken because their
            # connections may be broken without their notice.
            self._steps.recoverer.hold()
            self._note(None)
            raise

    async def _look(self, queues: list[str], candidacy: Candidacy) -> dict[str, Seen] | None:
        keys = [self._broker.keys.queue(queue) for queue in queues]
        found: list[Seen] = []
        self._counts["looks"] += 1
        # In a Cluster the key of the election and each queue may be on different nodes, so each needs its own call.
        step = 1 if self._broker.clustered else MAX_QUEUES
        if self._broker.clustered:
            if not await self._broker.run(elect(candidacy)):
                return None
        else:
            first = await self._broker.run(look(keys[:step], self._limits, candidacy))
            if first is None:
                return None
            found, keys = first, keys[step:]
        calls = [look(keys[start : start + step], self._limits) for start in range(0, len(keys), step)]
        self._counts["looks"] += len(calls)
        for reply in await self._broker.run_many(calls):
            if isinstance(reply, BrokerError):
                raise reply
            found += reply or []
        return dict(zip(queues, found, strict=True))

    async def _act(self, seen: dict[str, Seen]) -> None:
        def needing(need: Need) -> list[str]:
            # Nothing is known of a queue with a broken key, so each step tries it and reports the key.
            return [queue for queue, look in seen.items() if look.need & (need | Need.BROKEN)]

        if due := needing(Need.FORWARD):
            await self._try(self._steps.forwarder.forward(due))
        for queue in needing(Need.WAITING):
            self._note(queue)
        if over := needing(Need.EXPIRED | Need.TRIM):
            await self._try(self._steps.janitor.clean(over))
        dead = needing(Need.RECOVER | Need.RECLAIM)
        if dead and not self._steps.recoverer.held_seconds:
            await self._try(self._steps.recoverer.recover(dead))
        # Called in every sweep, because it also repairs what earlier ones have found.
        await self._try(self._steps.reconciler.reconcile(needing(Need.UNEVEN)))

    async def _try(self, act: Awaitable[object]) -> None:
        """Do one step. A refusal, for missing permissions or a broken key, does not prevent the other steps."""
        try:
            await act
        except BrokerRefused as error:
            self._counts["refused"] += 1
            if str(error) not in self._said:
                self._said.add(str(error))
                events.emit(events.SweepRefused(error=error))

    def _wait(self, seen: dict[str, Seen]) -> timedelta | None:
        dead = [look.dead_in for look in seen.values() if look.dead_in is not None]
        # Attempts that are dead already were left alone while the recoverer holds: sweep again right after that.
        dead += [0.0 for look in seen.values() if look.need & Need.RECOVER and self._steps.recoverer.held_seconds]
        soon = [max(min(dead), self._steps.recoverer.held_seconds)] if dead else []
        if (ripe := self._steps.reconciler.ripe_seconds) is not None:
            soon.append(ripe)
        if not soon or min(soon) >= self._ticker.every.total_seconds():
            # If all queues are empty, the election expires before the next sweep. That does no harm: a worker that asks
            # in the meantime is elected.
            return None if soon or any(look.need for look in seen.values()) else IDLE * self._ticker.every
        return timedelta(seconds=max(min(soon), SHORTEST_SECONDS))


class Sweep:
    """The sweeper and the parts that it calls."""

    def __init__(self, worker: "Worker", broker: Broker) -> None:
        settings = worker.settings
        every, slack = settings.sweep.sweep_interval, Slack(settings.sweep.lease_slack, settings.sweep.go_lease_slack)
        # A sweep also reports leases that have not expired yet, if their attempts would count as dead before the next
        # regular sweep. Then the next sweep comes at that time.
        ahead = max(every * 1.1 - slack.ours, timedelta())
        limits = SweepLimits(slack, settings.sweep.archive_max, settings.sweep.archive_age, ahead)
        self.forwarder = Forwarder(broker, limit=settings.sweep.forward_batch)
        self.janitor = Janitor(
            broker, archive_size=limits.archive_size, archive_age=limits.archive_age, limit=settings.sweep.janitor_batch
        )
        self.recoverer = _recoverer(worker, broker, slack)
        self.reconciler = Reconciler(
            broker,
            max_crashes=settings.worker.max_crashes,
            attempts_limit=settings.logging.attempts_limit_bytes,
        )
        self.sweeper = Sweeper(
            broker,
            worker.queue_names,
            Election(broker, worker.server_id, every, (limits, settings.worker.max_crashes)),
            limits,
            SweepSteps(self.forwarder, self.janitor, self.recoverer, self.reconciler),
            note=lambda queue: worker.consumers.note(queue),  # a lambda, because the consumers are made later
            every=every,
        )


def _recoverer(worker: "Worker", broker: Broker, slack: Slack) -> Recoverer:
    settings = worker.settings
    return Recoverer(
        broker,
        as_failure(lambda type_name: _policy(worker, type_name)),
        own_tokens=lambda: [attempt.token for attempt in worker.held()],
        slack=slack,
        # A live worker extends its leases with its next heartbeat; a failed heartbeat is repeated sooner.
        settle=2 * settings.worker.heartbeat,
        max_crashes=settings.worker.max_crashes,
        attempts_limit=settings.logging.attempts_limit_bytes,
        clock=worker.clock,
    )


def _policy(worker: "Worker", type_name: str) -> Retry | None:
    handler = worker.app.find_handler(type_name)
    return None if handler is None else handler.retry
