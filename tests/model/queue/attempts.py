"""Attempts: tasks are taken, and end well, badly, or by the death of who has them."""

from tests.model.queue.adding import Adding
from tests.model.queue.task import FAR, Task

RECORDED, FENCED, GONE = 1, 2, 3


class Attempts(Adding):
    def fetch(self, wanted: int, token: str) -> list[str]:
        self.promote()
        taken = [] if self.paused else [self.pending.pop() for _ in range(min(wanted, len(self.pending)))]
        for task in (self.tasks[task_id] for task_id in taken):
            self.active.insert(0, task.id)
            task.state, task.token, task.go = "active", token, False
            if task.scope == "queued":
                self.unlock(task)
        return taken

    def runs(self, task_id: str, token: str) -> bool:
        """Whether this attempt is the one that has the task."""
        task = self.tasks.get(task_id)
        return task is not None and (task.state, task.token, task.go) == ("active", token, False)

    def standing(self, task_id: str, token: str) -> int:
        task = self.tasks.get(task_id)
        if task is None:
            return GONE
        if task.token != token or (task.state == "active" and task.go):
            return FENCED
        return 0 if task.state == "active" else RECORDED

    def record(
        self, task_id: str, token: str, kind: str, at: float = FAR, *, counts: bool = True, begun: bool = False
    ) -> int:
        if code := self.standing(task_id, token):
            return code
        task = self.tasks[task_id]
        if kind == "done":
            self.end(task)
            return 0
        if begun:
            task.attempts += (token.rpartition("-")[0],)
        self.leave(task)
        if kind == "retry" and task.cancel:
            self.archive(task, "cancelled")
        elif kind == "archive":
            self.archive(task, "")
        elif kind == "requeue":
            self.put_first(task)
        elif kind == "complete":
            self.unlock(task)
            self.processed += 1
            self.put(task, "completed", at)
        else:
            self.put(task, "retry" if kind == "retry" else "scheduled", at)
            if kind == "retry" and counts:
                self.processed, self.failed = self.processed + 1, self.failed + 1
        return 0

    # Deaths

    def crash(self, task_id: str, max_crashes: int) -> str:
        """Its worker died, or was asked to end (0): no retry is spent. Returns where the task went."""
        task = self.tasks[task_id]
        if task.token and not task.go:
            task.attempts += (task.token.rpartition("-")[0],)
        self.leave(task)
        task.token = ""
        if task.cancel:
            self.archive(task, "cancelled")
            return "cancelled"
        self.crashed += max_crashes > 0
        task.crashes += max_crashes > 0
        if 0 < max_crashes <= task.crashes:
            self.archive(task, "quarantined")
            return "quarantined"
        self.put_first(task)
        return "pending"

    def requeue(self, task_id: str) -> str:
        """A person puts a task back whose worker has died."""
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state != "active":
            return "same" if task.state == "pending" else "state"
        if task_id not in self.dead:
            return "alive"
        self.crash(task_id, 0)
        return "done"

    def lose(self, task_id: str, kind: str) -> None:
        """A Go server's attempt is dead: it counts as a failure."""
        task = self.tasks[task_id]
        self.leave(task)
        task.token = ""
        if kind == "archive":
            return self.archive(task, task.end)
        self.put(task, "retry")
        self.processed, self.failed = self.processed + 1, self.failed + 1
        return None

    # What a worker holds, as seen by who watches over it

    def page_of_active(self, oldest: int | None, page: int) -> tuple[list[str], int]:
        """The youngest of so many of the oldest, who was taken last first, and how many are left after these."""
        count = len(self.active)
        upto = count if oldest is None else min(oldest, count)
        left = max(0, upto - page)
        return self.active[count - upto : count - left], left

    def holds(self, worker: str, task_id: str) -> bool:
        task: Task = self.tasks[task_id]
        return not task.go and task.token.rpartition("-")[0] == worker
