"""Changes of one task, and the cleaning up of those that are over."""

from tests.model.queue.places import Places


class Changes(Places):
    def cancel(self, task_id: str) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state in ("archived", "completed"):
            return "ended"
        if task.state == "active":
            task.cancel = True
            return "asked"
        if task.set:
            return "state"
        self.leave(task)
        self.put(task, "archived")
        task.end = "cancelled"
        self.unlock(task)
        return "done"

    def archive_by_hand(self, task_id: str) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state == "archived":
            return "same"
        if task.state == "active" or task.set:
            return "state"
        self.leave(task)
        self.put(task, "archived")
        task.end = ""
        if task.scope != "ttl":
            self.unlock(task)
        return "done"

    def free_lock(self, lock: str, *, force: bool) -> str:
        task = self.holder(lock)
        if task is not None and task.state not in ("archived", "completed") and not force:
            return "held"
        del self.locks[lock]
        return "done"

    def free_lock_of(self, task_id: str, *, force: bool) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if not task.lock or task.lock not in self.locks:
            return "same" if task.lock else "none"
        other = self.holder(task.lock)
        if other is not None and other.state not in ("archived", "completed"):
            if other is not task:
                return "locked"
            if not force:
                return "held"
        del self.locks[task.lock]
        return "done"

    def put_elsewhere(self, task_id: str, *, first: bool) -> str:
        """Take a task away and put it back as it was; a pending one `first` of its queue, or last."""
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state == "active" or task.set:
            return "state"
        if task.state == "pending":
            self.pending.remove(task_id)
            self.pending.insert(len(self.pending) if first else 0, task_id)
        self.nameless.discard(task.group if task.state == "aggregating" else "")
        return "done"

    def run_now(self, task_id: str) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state in ("pending", "active"):
            return "same" if task.state == "pending" else "state"
        if task.lock and task.scope != "ttl" and self.holder(task.lock) not in (None, task):
            return "locked"
        if task.set:
            return "state"
        if task.lock and task.scope != "ttl":
            self.locks[task.lock] = task_id
        if task.state in ("archived", "completed"):
            task.cancel, task.crashes, task.end = False, 0, ""
        self.leave(task)
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
        if task.state == "active" or task.set:
            return "state"
        self.leave(task)
        self.unlock(task)
        del self.tasks[task_id]
        return "done"

    def update_payload(self, task_id: str, payload: bytes, lock: str) -> str:
        task = self.tasks.get(task_id)
        if task is None:
            return "gone"
        if task.state in ("active", "completed") or task.set:
            return "state"
        if lock != task.lock and self.locks.get(task.lock) == task_id:
            if self.holder(lock) not in (None, task):
                return "locked"
            del self.locks[task.lock]
            self.locks[lock] = task_id
        is_new = task.payload != payload
        task.payload, task.lock = payload, lock
        return "done" if is_new else "same"

    def edit_and_run(self, task_id: str, payload: bytes, lock: str) -> str:
        """Both, or nothing."""
        task = self.tasks.get(task_id)
        waits = task is not None and task.state not in ("active", "pending", "completed") and not task.set
        if task is not None and waits:
            moves = lock != task.lock and self.locks.get(task.lock) == task_id
            if task.lock and (moves or task.scope != "ttl") and self.holder(lock) not in (None, task):
                return "locked"
        reply = self.update_payload(task_id, payload, lock)
        return self.run_now(task_id) if waits else reply

    def clean(self, expired: list[str], trimmed: list[str]) -> None:
        for task_id in (*expired, *trimmed):
            self.unlock(self.tasks[task_id])
            del self.tasks[task_id]
        self.trimmed += len(trimmed)
