"""The reconciler: compares the active tasks of a queue with their leases, and repairs what does not match.

An active task has its ID in `active` and a lease. Asynq checks only leases, so a task that has lost its lease stays
active for ever. A sweep compares the two numbers of each queue. For a queue in which they differ:

1. Look at each active task and each lease. There are no more of them than the fleet has slots.
2. Remember each finding for `delay`.
3. Repair it if the script still finds the same fault, and nothing has moved the task in between.

Two faults that hide each other, a task without a lease and a lease without a task, are found when the lease expires,
because the recoverer deletes it. All other contradictions are left to `rota doctor --repair`, which compares all keys.
Repairs are counted by queue and kind (`QueueKeys.repaired`), and logged.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from rota import events
from rota.broker import Broker
from rota.broker.failure import NodeReplies
from rota.core import faults
from rota.errors import BrokerRefused
from rota.wire.attempts import LIMIT_BYTES
from rota.wire.keys import QueueKeys
from rota.wire.reconcile import ACTIVE_AND_LEASES, LATER, MEANING, Discrepancy, places, repair

REPAIRS = 100
"""At most this many repairs in one call."""
MOST_FINDINGS = 5000
"""How many findings are remembered. Later ones are found again once these are repaired."""


class Reconciler:
    """Compares the queues that a sweep names; a finding is repaired after `delay` at the earliest."""

    def __init__(
        self,
        broker: Broker,
        *,
        max_crashes: int = 3,
        attempts_limit: int = LIMIT_BYTES,
        delay: timedelta = timedelta(seconds=5),
    ) -> None:
        self._broker = broker
        self._repair = partial(repair, max_crashes=max_crashes, attempts_limit=attempts_limit)
        self._delay_seconds = delay.total_seconds()
        self._findings: dict[tuple[QueueKeys, bytes], tuple[Discrepancy, float]] = {}
        self._repaired: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def reconcile(self, uneven: Sequence[str]) -> None:
        """Repair the findings that are old enough, and look at the queues whose numbers of leases and tasks differ."""
        if self.ripe_seconds == 0:
            await self.repair()
        answers = NodeReplies()
        for queue in uneven:
            try:
                await self._look(self._broker.keys.queue(queue))
            except BrokerRefused as error:  # a broken key of one queue does not affect the others
                answers.refuse(error)
        answers.check()

    async def repair(self) -> None:
        """Repair the findings that are at least `delay` old and still the same."""
        done: defaultdict[QueueKeys, Counter[str]] = defaultdict(Counter)
        answers = NodeReplies()
        for queue, findings in self._ripe_findings().items():
            for start in range(0, len(findings), REPAIRS):
                chunk = findings[start : start + REPAIRS]
                faults.reach("reconcile:send")
                # `run_many` returns an error as a value, which `sort` needs, so that the other queues have their turn.
                [reply] = await self._broker.run_many([self._repair(queue, chunk)])
                faults.answered("reconcile:answered")
                for _, kinds in answers.sort([queue], [reply]):
                    done[queue].update(kind for kind in kinds if kind in MEANING)
                    self._keep(queue, [finding for finding, kind in zip(chunk, kinds, strict=True) if kind == LATER])
        self._report(done)
        answers.check()

    @property
    def ripe_seconds(self) -> float | None:
        """In how many seconds the first finding is old enough to be repaired; None without findings."""
        if not self._findings:
            return None
        _, first = next(iter(self._findings.values()))  # the oldest: only `_keep` adds in front, and only ripe ones
        return max(0.0, first + self._delay_seconds - time.monotonic())

    def forget(self) -> None:
        """Forget all findings, because another worker sweeps now."""
        self._findings.clear()

    def statistics(self) -> Mapping[str, Mapping[str, int]]:
        """The number of repairs since the start, by queue and kind."""
        # A copy of the items, because this is called in another thread while the event loop may change the dict.
        return {queue: dict(kinds) for queue, kinds in list(self._repaired.items())}

    async def _look(self, queue: QueueKeys) -> None:
        cursors: Sequence[str] = ACTIVE_AND_LEASES
        while any(cursors):
            page = await self._broker.run(places(queue, cursors))
            cursors = page.cursors
            for finding in page.findings:
                if len(self._findings) < MOST_FINDINGS:
                    # The first finding stays, because a later time would put off its repair with each sweep.
                    self._findings.setdefault((queue, finding.id), (finding, time.monotonic()))

    def _report(self, done: Mapping[QueueKeys, Counter[str]]) -> None:
        for queue, kinds in done.items():
            if kinds:
                self._repaired[queue.queue] += kinds
                events.emit(events.QueueRepaired(queue=queue.queue, repairs=dict(kinds), meanings=MEANING))

    def _ripe_findings(self) -> dict[QueueKeys, list[Discrepancy]]:
        ripe: defaultdict[QueueKeys, list[Discrepancy]] = defaultdict(list)
        for (queue, task_id), (finding, found_at) in list(self._findings.items()):
            if time.monotonic() - found_at >= self._delay_seconds:
                del self._findings[queue, task_id]  # before the call: a fault that stays is found again
                ripe[queue].append(finding)
        return ripe

    def _keep(self, queue: QueueKeys, findings: Sequence[Discrepancy]) -> None:
        # The repair script searches lists of a bounded length in one call. The next sweep continues at once.
        at = time.monotonic() - self._delay_seconds
        self._findings = {(queue, finding.id): (finding, at) for finding in findings} | self._findings
