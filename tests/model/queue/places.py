"""Where tasks are, who holds which lock, and what was counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.model.queue.task import FAR, NOW, Set, Task


@dataclass
class Places:
    tasks: dict[str, Task] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    """The left end first: taken from the right, as Redis has it."""
    active: list[str] = field(default_factory=list)
    """The one that was taken last comes first."""
    dead: set[str] = field(default_factory=set)
    """Active tasks whose lease has run out."""
    sets: dict[str, Set] = field(default_factory=dict)
    nameless: set[str] = field(default_factory=set)
    """Groups with tasks that nobody looks at: Asynq forgets to list them."""
    failures: Counter[str] = field(default_factory=Counter)
    locks: dict[str, str] = field(default_factory=dict)
    paused: bool = False
    paused_with: bytes | None = None
    """What Asynq's key of the pause has."""
    refused: bool = False
    """Whether producers are refused, as long as that key has `bound_to`, if there is one."""
    bound_to: bytes | None = None
    processed: int = 0
    failed: int = 0
    crashed: int = 0
    trimmed: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    moment: int = 0

    def ids(self, *states: str) -> list[str]:
        return sorted(task.id for task in self.tasks.values() if task.state in states)

    def due(self, state: str) -> list[Task]:
        waiting = (task for task in self.tasks.values() if task.state == state and task.at < NOW)
        return sorted(waiting, key=lambda task: (task.at, task.id))

    def refuses(self) -> bool:
        """Whether an enqueue is refused."""
        if self.bound_to is not None and self.bound_to != self.paused_with:
            self.refused, self.bound_to = False, None
        return self.refused

    # Locks

    def holder(self, lock: str) -> Task | None:
        task = self.tasks.get(self.locks.get(lock, ""))
        return None if task is None or task.has_left_its_scope or task.lock != lock else task

    def unlock(self, task: Task) -> None:
        if task.lock and self.locks.get(task.lock) == task.id:
            del self.locks[task.lock]

    def stray_locks(self) -> dict[str, str]:
        """Locks past their scope, and locks whose task does not name them. Only Go's servers leave any."""
        return {lock: task_id for lock, task_id in self.locks.items() if self.holder(lock) is None}

    # Groups

    def members(self, group: str) -> list[str]:
        """The tasks that wait in a group, oldest first."""
        return _oldest_first(task for task in self._gathering() if task.group == group)

    def members_of_set(self, name: str) -> list[str]:
        return _oldest_first(task for task in self.tasks.values() if task.set == name)

    def groups(self) -> set[str]:
        return {task.group for task in self._gathering()}

    def _gathering(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.state == "aggregating" and not task.set]

    # Moving

    def put(self, task: Task, state: str, at: float = FAR) -> None:
        """Put a task that is nowhere at the end of a place. Whoever puts some into a group moves `moment` on before."""
        task.state, task.at = state, at
        if state == "pending":
            self.pending.insert(0, task.id)
            task.dated = True
        elif state == "aggregating":
            task.joined = self.moment
            self.nameless.discard(task.group)

    def put_first(self, task: Task) -> None:
        task.state, task.dated = "pending", True
        self.pending.append(task.id)

    def leave(self, task: Task) -> None:
        """Take a task out of the place that its state names."""
        if task.state == "pending":
            self.pending.remove(task.id)
        elif task.state == "active":
            self.active.remove(task.id)
            self.dead.discard(task.id)
        elif task.state == "aggregating" and self.members(task.group) == [task.id]:
            self.nameless.discard(task.group)
        task.set = ""

    def archive(self, task: Task, end: str) -> None:
        """Put a task that is nowhere into the archive, as the end of an attempt."""
        self.put(task, "archived")
        task.end = end
        if task.scope != "ttl" or end == "cancelled":
            self.unlock(task)
        self.processed += 1
        self.failed += end != "cancelled"

    def end(self, task: Task) -> None:
        """Delete a task, which has ended well."""
        self.leave(task)
        self.unlock(task)
        self.processed += 1
        del self.tasks[task.id]


def _oldest_first(tasks: Iterable[Task]) -> list[str]:
    return [task.id for task in sorted(tasks, key=lambda task: (task.joined, task.id))]
