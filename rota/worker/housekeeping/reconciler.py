"""The reconciler: finds and repairs inconsistent tasks, left by a crash, an eviction, or a manual change in Redis.

A consistent task has three things: a hash, its ID in exactly one place (a list or sorted set of its queue), and a lease
while it runs. Asynq checks these only one at a time, so a task that has lost one of them stays as it is for ever. The
reconciler compares each with the others:

1. Every `every`, scan a bounded part of the places and keys (`scan`).
2. Remember each finding for `patience`.
3. Repair it if the script still finds the same fault, and nothing has moved the task in between.

Repairs are counted by queue and kind (`QueueKeys.repaired`), and logged.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from rota import events
from rota.broker import Broker
from rota.core import faults
from rota.errors import BrokerRefused
from rota.wire.keys import QueueKeys
from rota.wire.reconcile import LATER, Discrepancy, StrayLock, locks, repair
from rota.worker.consume.node_replies import NodeReplies
from rota.worker.housekeeping.scan import Found, KeyScan, PlaceScan

LEASE = timedelta(seconds=15)
"""The lease that an active task without one gets. If a worker or Go server does run the task, it extends the lease
within this time."""
KEPT = timedelta(hours=1)
REPAIRS = 100
"""At most this many repairs in one call."""
MOST_FINDINGS = 5000

MEANING = {
    "unleased": "active without a lease: given one, which runs out unless somebody runs the task",
    "stray_lease": "a lease of a task that does not run: deleted",
    "stub": "a hash without a message: deleted",
    "ghost": "an ID without a task: taken out of its place",
    "unlisted": "a task in no place: put back",
    "quarantined": "a task in no place that cannot be put back, or was too often: archived",
    "misplaced": "an ID in a second place: taken out of it",
    "relabelled": "a task whose state named another place than its own: corrected",
    "ungrouped": "a group whose name nobody looks at: listed",
    "lock": "a uniqueness lock that no task holds: deleted",
}


class Reconciler:
    """Scans every `every`; a finding is repaired after `patience` at the earliest."""

    def __init__(
        self,
        broker: Broker,
        *,
        max_crashes: int = 3,
        every: timedelta = timedelta(minutes=1),
        patience: timedelta = timedelta(seconds=5),
    ) -> None:
        self._broker = broker
        self._max_crashes = max_crashes
        self._every_seconds = every.total_seconds()
        self._patience_seconds = patience.total_seconds()
        self._places = PlaceScan(broker)
        self._keys = KeyScan(broker)
        self._walked_at = time.monotonic()
        self._findings: dict[tuple[QueueKeys, bytes], tuple[Discrepancy, float]] = {}
        self._locks: dict[tuple[QueueKeys, str], tuple[StrayLock, float]] = {}
        self._repaired: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def reconcile(self, queues: Sequence[str], held: Sequence[str], uneven: Sequence[str]) -> None:
        """Repair the findings that are old enough, and scan on when it is time.

        `held` are the queues with tasks, `uneven` those whose numbers of leases and of active tasks differ.
        """
        if self.ripe_seconds == 0:
            await self.repair()
        if uneven:
            self._note(await self._places.look(uneven))
        if time.monotonic() - self._walked_at >= self._every_seconds:
            self._walked_at = time.monotonic()
            await self.walk(queues, held)

    async def walk(self, queues: Sequence[str], held: Sequence[str]) -> None:
        """Scan on through the places of the queues with tasks, and through the keys of all queues."""
        answers = NodeReplies()
        try:
            self._note(await self._places.go(held))
        except BrokerRefused as error:
            answers.refuse(error)
        found, stray = await self._keys.go(queues)
        self._note(found)
        for queue, lock in stray:
            if len(self._locks) < MOST_FINDINGS:
                self._locks.setdefault((queue, lock.key), (lock, time.monotonic()))
        answers.check()

    async def repair(self) -> None:
        """Repair the findings that are at least `patience` old and still the same."""
        done: defaultdict[QueueKeys, Counter[str]] = defaultdict(Counter)
        answers = NodeReplies()
        await self._repair_tasks(done, answers)
        await self._repair_locks(done, answers)
        for queue, kinds in done.items():
            if not kinds:
                continue
            self._repaired[queue.queue] += kinds
            events.emit(events.QueueRepaired(queue=queue.queue, repairs=dict(kinds), meanings=MEANING))
        answers.check()

    @property
    def ripe_seconds(self) -> float | None:
        """In how many seconds the first finding is old enough to be repaired; None without findings."""
        first = [next(iter(found.values()))[1] for found in (self._findings, self._locks) if found]
        return max(0.0, min(first) + self._patience_seconds - time.monotonic()) if first else None

    def forget(self) -> None:
        """Forget all findings, because another worker sweeps now."""
        self._findings.clear()
        self._locks.clear()

    def statistics(self) -> Mapping[str, Mapping[str, int]]:
        """The number of repairs since the start, by queue and kind."""
        # A copy of the items, because this is called in another thread while the event loop may change the dict.
        return {queue: dict(kinds) for queue, kinds in list(self._repaired.items())}

    def _note(self, found: Found) -> None:
        for queue, finding in found:
            known = self._findings.get((queue, finding.id))
            if known is None and len(self._findings) < MOST_FINDINGS:
                self._findings[queue, finding.id] = finding, time.monotonic()

    async def _repair_tasks(self, done: dict[QueueKeys, Counter[str]], answers: NodeReplies) -> None:
        for queue, findings in self._ripe_findings().items():
            for start in range(0, len(findings), REPAIRS):
                chunk = findings[start : start + REPAIRS]
                call = repair(queue, chunk, max_crashes=self._max_crashes, lease=LEASE, kept=KEPT)
                faults.reach("reconcile:send")
                [reply] = await self._broker.run_many([call])
                faults.answered("reconcile:answered")
                for _, kinds in answers.sort([queue], [reply]):
                    done[queue].update(kind for kind in kinds if kind not in ("", LATER))
                    self._keep(queue, [finding for finding, kind in zip(chunk, kinds, strict=True) if kind == LATER])

    async def _repair_locks(self, done: dict[QueueKeys, Counter[str]], answers: NodeReplies) -> None:
        ripe: defaultdict[QueueKeys, list[StrayLock]] = defaultdict(list)
        for (queue, key), (lock, found_at) in list(self._locks.items()):
            if self._is_ripe(found_at):
                del self._locks[queue, key]
                ripe[queue].append(lock)
        for queue, stray in ripe.items():
            for start in range(0, len(stray), REPAIRS):
                [reply] = await self._broker.run_many([locks(queue, stray[start : start + REPAIRS])])
                for _, deleted in answers.sort([queue], [reply]):
                    done[queue].update(["lock"] * len(deleted))

    def _ripe_findings(self) -> dict[QueueKeys, list[Discrepancy]]:
        ripe: defaultdict[QueueKeys, list[Discrepancy]] = defaultdict(list)
        for (queue, task_id), (finding, found_at) in list(self._findings.items()):
            if self._is_ripe(found_at):
                del self._findings[queue, task_id]
                ripe[queue].append(finding)
        return ripe

    def _keep(self, queue: QueueKeys, findings: Sequence[Discrepancy]) -> None:
        # The repair script searches a bounded part of a long list in one call. The next sweep continues at once.
        at = time.monotonic() - self._patience_seconds
        self._findings = {(queue, finding.id): (finding, at) for finding in findings} | self._findings

    def _is_ripe(self, found_at: float) -> bool:
        return time.monotonic() - found_at >= self._patience_seconds
