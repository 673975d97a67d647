"""The entries of a cron, and which of them to decide about next.

`tick` decides for each entry that is due or was touched. A heap holds the times at which entries are due. A time in the
heap counts only if it is still the one of its entry, so that an entry can change its time or go away without a search.
The heap is made anew when most of its times do not count.
"""

import threading
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from rota import events
from rota.cron.function_runs import FunctionRuns
from rota.cron.live_entry import LiveEntry

LARGEST_STEP_BACK = timedelta(hours=3)
"""A clock that is set back by more was wrong before. By less, nothing runs until it has caught up."""
_HOUR = timedelta(hours=1)
_SPARE = 100


class EntryQueue:
    """The entries by their IDs. Entries may be added, removed and touched from any thread."""

    def __init__(self, now: datetime) -> None:
        self._lock = threading.RLock()
        self._entries: dict[int, LiveEntry] = {}
        self._removed: list[FunctionRuns] = []
        """The runs of removed entries that are not over."""
        self._touched: set[int] = set()
        self._due: list[tuple[datetime, int]] = []
        self._latest = now

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, id: int, entry: LiveEntry) -> None:
        """Add an entry."""
        with self._lock:
            self._entries[id] = entry

    def get(self, id: int) -> LiveEntry | None:
        """Return an entry; None if there is none."""
        return self._entries.get(id)

    def all(self) -> list[LiveEntry]:
        """Return all entries."""
        with self._lock:
            return list(self._entries.values())

    def remove(self, id: int) -> LiveEntry | None:
        """Remove and return an entry; None if there is none."""
        with self._lock:
            entry = self._entries.pop(id, None)
            if entry is not None:
                self._removed = [*(runs for runs in self._removed if runs.is_open), entry.runs]
            return entry

    def touch(self, id: int) -> None:
        """Decide about an entry at the next tick."""
        with self._lock:
            self._touched.add(id)

    def begin(self, now: datetime) -> None:
        """Plan all entries from now on."""
        with self._lock:
            self._latest = now
            self._due.clear()
            for id, entry in self._entries.items():
                entry.begin(now)
                self._touched.add(id)

    def runs(self) -> list[FunctionRuns]:
        """Return the runs of all entries, also of removed ones whose runs are not over."""
        with self._lock:
            return [*(entry.runs for entry in self._entries.values()), *self._removed]

    def tick(self, now: datetime) -> datetime | None:
        """Decide for all entries that are due or were touched. Return the time of the next one."""
        if self._latest - now > LARGEST_STEP_BACK:
            events.emit(events.CronClockSetBack(hours=(self._latest - now) / _HOUR))
            self.begin(now)
        self._latest = now
        for id, entry in self._ready(now):
            before = entry.due
            entry.decide(now)
            if entry.due is not None and entry.due != before:
                heappush(self._due, (entry.due, id))
        return self._due[0][0] if self._due else None

    def _ready(self, now: datetime) -> list[tuple[int, LiveEntry]]:
        with self._lock:
            if len(self._due) > 2 * len(self._entries) + _SPARE:
                self._due = [(entry.due, id) for id, entry in self._entries.items() if entry.due is not None]
                heapify(self._due)
            ready = self._touched & self._entries.keys()
            self._touched.clear()
            while self._due and self._due[0][0] <= now:
                due, id = heappop(self._due)
                if id in self._entries and self._entries[id].due == due:
                    ready.add(id)
            return [(id, self._entries[id]) for id in sorted(ready)]
