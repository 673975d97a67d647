"""Extends the leases and records of worker processes that live but whose own heartbeat is late.

The heartbeat of a process runs in its own thread. It cannot run while other code holds the interpreter, for example in
a long call into C. The process still works on its tasks, so the supervisor extends its leases. It sends nothing for a
process whose heartbeat is on time, so an idle fleet causes no requests here.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

from rota import events
from rota.broker.broker import Broker
from rota.core import faults
from rota.errors import BrokerError
from rota.health.process_status import SILENT_SECONDS
from rota.settings.setting_groups import WorkerSettings
from rota.supervisor.process import ChildProcess
from rota.supervisor.reclaim import ServedQueues
from rota.wire import owner
from rota.wire.keys import QueueKeys
from rota.wire.server_record import ttl_of

LATE = 1.25
"""A heartbeat is late when the last one is this many intervals old. The pause between two beats is at most one."""


class LeaseKeeper:
    """Extends the leases of late processes whenever `look` is called."""

    def __init__(self, broker: Broker, served: ServedQueues, settings: WorkerSettings) -> None:
        self._broker = broker
        self._served = served
        self._lease = settings.lease
        self._beat_seconds = settings.heartbeat.total_seconds()
        self._ttl = ttl_of(settings.heartbeat)
        self._kept_at: dict[str, float] = {}
        self._failing = False

    async def look(self, processes: Iterable[ChildProcess]) -> None:
        """Extend the leases of the processes whose heartbeat is late.

        An error is logged once until a call succeeds; the next call tries again.
        """
        now = time.monotonic()
        late = [process for process in processes if self._is_late(process, now)]
        # A process that is on time again is forgotten, so that its next delay is logged again.
        self._kept_at = {p.id: self._kept_at[p.id] for p in late if p.id in self._kept_at}
        due = [p for p in late if now - self._kept_at.get(p.id, 0) >= self._beat_seconds]
        if not due:
            return
        try:
            await self._keep(due)
        except BrokerError as error:
            if not self._failing:
                events.emit(events.LeasesNotKept(error=error))
            self._failing = True
        except Exception as error:
            if not self._failing:
                events.emit(events.LeaseKeeperFailed(error=error))
            self._failing = True
        else:
            self._failing = False
            self._note(due, now)

    def _is_late(self, process: ChildProcess, now: float) -> bool:
        return process.exit is None and process.beat_at > 0 and now - process.beat_at > self._beat_seconds * LATE

    async def _keep(self, due: Sequence[ChildProcess]) -> None:
        queues = await self._served.of(*due)
        await asyncio.gather(*(self._extend(queue, due) for queue in queues))
        for process in due:
            await self._show(process)

    async def _extend(self, queue: QueueKeys, due: Sequence[ChildProcess]) -> None:
        ids, left = [process.id for process in due], None
        while left != 0:
            faults.reach("keep:send")
            left = (await self._broker.run(owner.keep(queue, ids, self._lease, oldest=left))).left
            faults.answered("keep:answered")

    async def _show(self, process: ChildProcess) -> None:
        who = process.introduction
        if who is None:
            return
        keys, identity = self._broker.keys, (who.host, who.pid, who.server_id)
        if await self._broker.run(owner.show(keys, *identity, self._ttl)):  # else there is no record to be listed
            lists = owner.listed(keys, *identity, self._ttl, types=process.report.types)
            for reply in await self._broker.run_many(lists):
                if isinstance(reply, BrokerError):
                    raise reply

    def _note(self, due: Sequence[ChildProcess], now: float) -> None:
        for process in due:
            # After an outage, the heartbeat of the process may have succeeded in the meantime.
            if process.id not in self._kept_at and self._is_late(process, now):
                events.emit(
                    events.LeasesKept(
                        **process.about,
                        seconds=now - process.beat_at,
                        reason=_reason(process, now),
                        is_ready=process.report.ready,
                    )
                )
            self._kept_at[process.id] = now


def _reason(process: ChildProcess, now: float) -> str:
    status = process.report.status
    if status is not None and now - status.taken_at < SILENT_SECONDS:
        return "it did not reach the broker"
    return "something in it does not let the interpreter go"
