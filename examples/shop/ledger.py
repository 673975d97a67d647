"""What was asked for, what has ended, and what of it is proven."""

from dataclasses import dataclass, field

from examples.shop.display import Display
from examples.shop.journal import Entry, Journal
from examples.shop.proof import Unproven, prove


@dataclass(slots=True)
class Ledger:
    """Follows the journal. A task counts as ended when what it made has been looked at."""

    journal: Journal
    display: Display
    faults: int = 0
    _asked: dict[str, Entry] = field(default_factory=dict[str, Entry])
    _done: dict[str, Entry] = field(default_factory=dict[str, Entry])

    @property
    def waiting(self) -> int:
        """How many tasks were asked for and have not ended."""
        return len(self._asked)

    def look_back(self) -> int:
        """Read what an earlier run asked for and did not see the end of. Returns how many tasks that is."""
        for entry in self.journal.news():
            self._sort(entry)
        for task_id in self._done.keys() & self._asked.keys():
            del self._asked[task_id], self._done[task_id]
        return self.waiting

    def read(self) -> None:
        """Read what is new, show it, and prove what was done."""
        for entry in self.journal.news():
            self._sort(entry)
            if entry.event == "failed":
                self.display.failed(entry)
        # A fast worker notes the end of a task before the enqueuing side has noted its beginning.
        for task_id in [task_id for task_id in self._done if task_id in self._asked]:
            self._prove(self._asked.pop(task_id), self._done.pop(task_id))

    def fault(self, text: str) -> None:
        """Count and show something that must not happen."""
        self.faults += 1
        self.display.fault(text)

    def close(self) -> None:
        """Start anew next time, unless something waits for the next run."""
        if not self.waiting:
            self.journal.clear()

    def _sort(self, entry: Entry) -> None:
        if entry.event == "enqueued":
            self._asked[entry.id] = entry
        elif entry.event == "done":
            self._done[entry.id] = entry

    def _prove(self, asked: Entry, done: Entry) -> None:
        try:
            self.display.done(done, prove(asked.type, asked.arguments))
        except Unproven as error:
            self.fault(str(error))
