"""The queues in which the tasks of a worker process can be."""

from rota.broker.broker import Broker
from rota.broker.queue_names import read_queue_names
from rota.settings import Settings
from rota.supervisor.process import WorkerProcess
from rota.wire.keys import QueueKeys
from rota.worker.queues import is_pattern, matches


class ServedQueues:
    """All that a process reported since its start, those of the settings, and what their patterns match now."""

    def __init__(self, broker: Broker, settings: Settings) -> None:
        self._broker = broker
        self._names = [name for name in settings.queues if not is_pattern(name)]
        self._patterns = [name for name in settings.queues if is_pattern(name)]

    async def of(self, *processes: WorkerProcess) -> list[QueueKeys]:
        """Return the queues of some processes."""
        names = set(self._names).union(*(process.queues for process in processes))
        if self._patterns:
            # A pattern may have led a process to a queue that it had no time to report.
            known = await self._broker.execute("SMEMBERS", self._broker.keys.queues, key=self._broker.keys.queues)
            found = read_queue_names(known)
            names.update(name for name in found if any(matches(name, pattern) for pattern in self._patterns))
        return [self._broker.keys.queue(name) for name in sorted(names)]
