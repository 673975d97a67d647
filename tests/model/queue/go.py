"""What Asynq's servers do. They know no tokens, count a lost worker as a failure, and keep the locks of our scopes."""

from tests.model.queue.adding import Adding
from tests.model.queue.task import FAR


class GoMoves(Adding):
    def go_fetch(self) -> str | None:
        if self.paused or not self.pending:
            return None
        task = self.tasks[self.pending.pop()]
        self.active.insert(0, task.id)
        task.state, task.go = "active", True
        return task.id

    def go_record(self, task_id: str, kind: str) -> bool:
        """End an attempt of whoever has it: Asynq asks no more than that it runs."""
        task = self.tasks.get(task_id)
        if task is None or task.state != "active":
            return False
        if kind == "done":
            self.end(task)
            return True
        self.leave(task)
        if kind == "complete":
            self.unlock(task)
            self.put(task, "completed")
        elif kind == "requeue":
            self.put_first(task)
            task.dated = False
        else:
            self.put(task, "retry" if kind == "retry" else "archived")
            self.failed += 1
        self.processed += kind != "requeue"
        return True

    def go_extend(self, task_ids: list[str]) -> None:
        for task_id in set(task_ids) & set(self.active):
            self.tasks[task_id].go = True
            self.dead.discard(task_id)

    def go_forward(self) -> None:
        listed = self.groups() - self.nameless
        self.promote(by_go=True)
        self.nameless |= self.groups() - listed

    def go_reclaim_sets(self) -> None:
        listed = self.groups() - self.nameless
        for name in [name for name, each in self.sets.items() if each.state == "late"]:
            for task_id in self.members_of_set(name):
                self.tasks[task_id].set = ""
            del self.sets[name]
        self.nameless |= self.groups() - listed

    def go_recover(self) -> None:
        for task_id in sorted(self.dead):
            self.go_record(task_id, "retry")
            self.tasks[task_id].at = FAR
