"""A queue in plain Python: what the scripts are supposed to do, without any of their means.

Instants are numbers: a task is due when its instant is below `NOW`.
"""

from dataclasses import dataclass, field

NOW, FAR = 1_600_000_000.0, 4_000_000_000.0

LEFT_SCOPE = {
    "queued": {"active", "retry", "archived", "completed"},
    "running": {"archived", "completed"},
}


@dataclass
class Task:
    id: str
    payload: bytes
    state: str = "pending"
    lock: str = ""
    scope: str = "ttl"
    group: str = ""
    at: float = FAR
    token: str = ""
    cancel: bool = False
    crashes: int = 0
    end: str = ""


@dataclass
class Queue:
    tasks: dict[str, Task] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    """The left end first: taken from the right, as Redis has it."""
    locks: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    """Active tasks whose lease has run out."""
    processed: int = 0
    failed: int = 0
    crashed: int = 0
    trimmed: int = 0
    recovered: int = 0

    def ids(self, state: str) -> set[str]:
        return {task.id for task in self.tasks.values() if task.state == state}

    # Locks

    def holder(self, lock: str) -> Task | None:
        task = self.tasks.get(self.locks.get(lock, ""))
        return None if task is None or task.state in LEFT_SCOPE.get(task.scope, ()) else task

    def unlock(self, task: Task) -> None:
        if task.lock and self.locks.get(task.lock) == task.id:
            del self.locks[task.lock]

    # Places

    def put(self, task: Task, state: str, at: float = FAR) -> None:
        task.state, task.at = state, at
        if state == "pending":
            self.pending.insert(0, task.id)

    def leave(self, task: Task) -> None:
        if task.state == "pending":
            self.pending.remove(task.id)
        self.dead.discard(task.id)

    # Adding

    def enqueue(self, new: Task, at: float, on_conflict: str) -> tuple[str, str, str]:
        target = "scheduled" if at > NOW else "aggregating" if new.group else "pending"
        if new.lock and (other := self.holder(new.lock)):
            return self._replace(other, new, target, at) if on_conflict == "replace" else _reply("duplicate", other)
        if new.id in self.tasks:
            return _reply("conflict", self.tasks[new.id])
        if new.lock:
            self.locks[new.lock] = new.id
        self.tasks[new.id] = new
        self.put(new, target, at)
        return _reply("created", new)

    def _replace(self, old: Task, new: Task, target: str, at: float) -> tuple[str, str, str]:
        if old.state == "active":
            return _reply("busy", old)
        stays = old.state == target and target != "scheduled" and old.group == new.group
        old.payload, old.lock, old.scope, old.group = new.payload, new.lock, new.scope, new.group
        old.cancel, old.crashes, old.end = False, 0, ""
        self.locks[old.lock] = old.id
        if not stays:
            self.leave(old)
            self.put(old, target, at)
        return _reply("replaced", old)

    # Taking and ending

    def promote(self) -> int:
        moved = 0
        for state in ("scheduled", "retry"):
            due = sorted(
                (t for t in self.tasks.values() if t.state == state and t.at < NOW), key=lambda t: (t.at, t.id)
            )
            for task in due:
                self.put(task, "aggregating" if task.group else "pending")
            moved += len(due)
        return moved

    def fetch(self, wanted: int, token: str) -> list[str]:
        self.promote()
        taken = [self.pending.pop() for _ in range(min(wanted, len(self.pending)))]
        for task in (self.tasks[task_id] for task_id in taken):
            task.state, task.token = "active", token
            if task.scope == "queued":
                self.unlock(task)
        return taken

    def standing(self, task_id: str, token: str) -> int:
        task = self.tasks.get(task_id)
        if task is None:
            return 3
        if task.token != token:
            return 2
        return 0 if task.state == "active" else 1

    def record(self, task_id: str, token: str, kind: str, at: float = FAR, *, counts: bool = True) -> int:
        if code := self.standing(task_id, token):
            return code
        task = self.tasks[task_id]
        self.leave(task)
        if kind == "retry" and task.cancel:
            self._archive(task, "cancelled")
        elif kind == "archive":
            self._archive(task, "")
        elif kind == "requeue":
            task.state = "pending"
            self.pending.append(task_id)
        elif kind in ("retry", "postpone"):
            self.put(task, "retry" if kind == "retry" else "scheduled", at)
            if kind == "retry" and counts:
                self.processed, self.failed = self.processed + 1, self.failed + 1
        else:
            self.unlock(task)
            self.processed += 1
            if kind == "complete":
                self.put(task, "completed", at)
            else:
                del self.tasks[task_id]
        return 0

    def _archive(self, task: Task, end: str) -> None:
        self.put(task, "archived")
        task.end = end
        if task.scope != "ttl" or end == "cancelled":
            self.unlock(task)
        self.processed += 1
        self.failed += end != "cancelled"

    def crash(self, task_id: str, max_crashes: int) -> None:
        task = self.tasks[task_id]
        self.leave(task)
        self.recovered += 1
        task.token = ""
        if task.cancel:
            return self._archive(task, "cancelled")
        task.crashes += 1
        self.crashed += 1
        if task.crashes >= max_crashes:
            return self._archive(task, "quarantined")
        task.state = "pending"
        self.pending.append(task_id)
        return None

    def lose(self, task_id: str, kind: str) -> None:
        """A Go server's attempt is dead: it counts as a failure."""
        task = self.tasks[task_id]
        self.leave(task)
        self.recovered += 1
        task.token = ""
        if kind == "archive":
            return self._archive(task, task.end)
        self.put(task, "retry")
        self.processed, self.failed = self.processed + 1, self.failed + 1
        return None

    # Changing

    def cancel(self, task_id: str) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state in ("archived", "completed"):
            return "ended"
        if task.state == "active":
            task.cancel = True
            return "asked"
        self.leave(task)
        self.put(task, "archived")
        task.end = "cancelled"
        self.unlock(task)
        return "done"

    def run_now(self, task_id: str) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state in ("pending", "active"):
            return "same" if task.state == "pending" else "state"
        if task.lock and task.scope != "ttl":
            other = self.holder(task.lock)
            if other not in (None, task):
                return "locked"
            self.locks[task.lock] = task_id
        if task.state in ("archived", "completed"):
            task.cancel, task.crashes, task.end = False, 0, ""
        task.group = ""
        self.put(task, "pending")
        return "done"

    def reschedule(self, task_id: str, at: float) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state not in ("pending", "scheduled", "retry"):
            return "state"
        state = task.state if task.state == "retry" else "scheduled"
        self.leave(task)
        self.put(task, state, at)
        return "done"

    def delete(self, task_id: str) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state == "active":
            return "state"
        self.leave(task)
        self.unlock(task)
        del self.tasks[task_id]
        return "done"

    def update_payload(self, task_id: str, payload: bytes, lock: str) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state in ("active", "completed"):
            return "state"
        if lock != task.lock and self.locks.get(task.lock) == task_id:
            if self.holder(lock) not in (None, task):
                return "locked"
            del self.locks[task.lock]
            self.locks[lock] = task_id
        task.payload, task.lock = payload, lock
        return "done"

    def clean(self, expired: list[str], trimmed: list[str]) -> None:
        for task_id in (*expired, *trimmed):
            self.unlock(self.tasks[task_id])
            del self.tasks[task_id]
        self.trimmed += len(trimmed)


def _reply(reason: str, task: Task) -> tuple[str, str, str]:
    return reason, task.id, task.state
