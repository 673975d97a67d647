"""Adding: tasks of every kind, and calls that join into one run."""

from tests.model.queue.places import Places
from tests.model.queue.task import FAR, NOW, Reply, Task, reply


class Adding(Places):
    def enqueue(self, new: Task, at: float, on_conflict: str) -> Reply:
        self.moment += 1
        if there := self._made_by(new):
            return Reply("created", there.id, there.state)
        target = "scheduled" if at > NOW else "aggregating" if new.group else "pending"
        if new.lock and (other := self.holder(new.lock)):
            return self._replace(other, new, target, at) if on_conflict == "replace" else reply("duplicate", other)
        if new.id in self.tasks:
            return reply("conflict", self.tasks[new.id])
        if new.lock:
            self.locks[new.lock] = new.id
        self.tasks[new.id] = new
        self.put(new, target, at)
        return reply("created", new)

    def _replace(self, old: Task, new: Task, target: str, at: float) -> Reply:
        if old.mark == f"replaced {new.mark}":
            return reply("replaced", old)
        if old.state == "active" or old.set:
            return reply("busy", old)
        stays = old.state == target and target != "scheduled" and old.group == new.group
        if not stays:
            self.leave(old)
        self._renew(old, new)
        old.mark = f"replaced {new.mark}"
        old.scope, old.group = new.scope, new.group
        self.locks[old.lock] = old.id
        if not stays:
            self.put(old, target, at)
        return reply("replaced", old)

    def _made_by(self, new: Task) -> Task | None:
        """The task that an earlier sending of the same request has added."""
        there = self.tasks.get(new.id)
        return there if there and (new.mark == new.id or there.mark == new.mark != "") else None

    @staticmethod
    def _renew(old: Task, new: Task) -> None:
        old.payload, old.lock, old.mark, old.explicit = new.payload, new.lock, new.mark, new.explicit
        old.cancel, old.crashes, old.end, old.attempts = False, 0, "", ()

    def debounce(self, new: Task, at: float) -> Reply:
        """Wait once more, with the newest message; who has been taken waits no more."""
        if there := self._made_by(new):
            return Reply("created", there.id, there.state)
        other = self.holder(new.lock)
        if other and other.mark == new.mark:
            return reply("replaced", other)
        if other and other.state in ("pending", "scheduled"):
            self._renew(other, new)
            if other.state == "scheduled":
                other.at = at
            return reply("replaced", other)
        self.locks[new.lock] = new.id
        self.tasks[new.id] = new
        self.put(new, "scheduled", FAR)
        return reply("created", new)

    def promote(self, *, by_go: bool = False) -> int:
        """Let what is due wait where it is taken. What was to be cancelled while a Go server ran it ends here."""
        self.moment += 1
        moved = 0
        for state in ("scheduled", "retry"):
            due = self.due(state)
            for task in due:
                if task.cancel and not by_go:
                    self.put(task, "archived")
                    task.end = "cancelled"
                    self.unlock(task)
                else:
                    self.put(task, "aggregating" if task.group else "pending")
            moved += len(due)
        return moved
