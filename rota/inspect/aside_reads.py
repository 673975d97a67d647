"""The read of tasks that a move or a deletion has left behind because it was cut off."""

from dataclasses import dataclass
from datetime import datetime

from rota.client.operations import operation
from rota.client.steps import Act
from rota.inspect.face import Reads, TaskRef
from rota.wire.aside import AsidePage, looked_aside

BEGUN_SECONDS = 60
"""A move or a deletion that has not ended after this time was cut off: a batch takes less than a second."""
MOST = 500


@dataclass(frozen=True, slots=True)
class CutOff:
    """A task in the archive of its queue that was to be moved to the queue `to`, or deleted if that is empty."""

    task: TaskRef
    to: str
    since: datetime


class AsideReads(Reads):
    """Describes the read of tasks that are aside."""

    @operation
    def cut_off(self, queue: str, *, seconds: float = BEGUN_SECONDS) -> Act[list[CutOff]]:
        """Return the tasks of a queue whose move or deletion began some time ago and was cut off; at most 500.

        The same act again finishes it.
        """
        page: AsidePage = yield looked_aside(self._keys.queue(queue), limit=MOST, seconds=seconds)
        return [CutOff(TaskRef(queue, each.id), each.to, each.since) for each in page.tasks]
