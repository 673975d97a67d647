"""Groups: tasks gather, are taken as a set, and one task comes out, or they return."""

from tests.model.queue.adding import Adding
from tests.model.queue.task import FAR, Set, Task

DONE, DONE_BEFORE, GIVEN_UP, REFUSED = range(4)


class Groups(Adding):
    def take(self, group: str, name: str, most: int) -> int:
        """Take the oldest of a group that is due."""
        waiting = self.members(group)
        for task_id in waiting[:most]:
            self.tasks[task_id].set = name
        if len(waiting) <= most:
            self.nameless.discard(group)
        self.sets[name] = Set(group)
        return min(len(waiting), most)

    def sort_out(self, name: str, chosen: list[tuple[str, str]]) -> int:
        inside = [(self.tasks[task_id], kind) for task_id, kind in chosen if task_id in self.members_of_set(name)]
        for task, kind in inside:
            task.set = ""
            if kind == "back":
                self.nameless.discard(task.group)
            else:
                self.archive(task, task.end)
        return len(inside)

    def aggregate(self, name: str, result: Task | None, on_conflict: str) -> int:
        found = self.sets.get(name)
        if found is None or found.state == "late":
            return GIVEN_UP
        if found.state == "spent":
            return DONE_BEFORE
        if result and self.enqueue(result, 0, on_conflict).reason not in ("created", "replaced"):
            return REFUSED
        found.state = "spent"
        self.failures.pop(found.group, None)
        return DONE

    def spend(self, name: str, most: int) -> int:
        if name not in self.sets or self.sets[name].state != "spent":
            return 0
        members = self.members_of_set(name)
        for task_id in members[:most]:
            self.end(self.tasks[task_id])
        if len(members) <= most:
            del self.sets[name]
        return min(len(members), most)

    def fail_set(self, name: str, group: str, most: int) -> int:
        """Note a failure. The set waits for a deadline of its own, until the last one."""
        if name not in self.sets or self.sets[name].state == "spent":
            return 0
        self.failures[group] += 1
        number = self.failures[group]
        if number >= most:
            del self.failures[group]
        else:
            self.sets[name].state, self.sets[name].at = "open", FAR
        return number

    def late_sets(self) -> list[str]:
        return sorted((name for name, each in self.sets.items() if each.state == "late"), key=lambda n: self.sets[n].at)

    def reclaim_sets(self, room: int) -> tuple[int, int, bool]:
        """Let the tasks of late sets return to their groups, so many at most. Answers as the script does."""
        late, moved, emptied = self.late_sets(), 0, 0
        for name in late:
            members = self.members_of_set(name)
            for task_id in members[: room - moved]:
                self.tasks[task_id].set = ""
                self.nameless.discard(self.sets[name].group)
            left = members[room - moved :]
            moved += len(members) - len(left)
            if left:
                break
            del self.sets[name]
            emptied += 1
            if moved >= room:
                break
        self.repaired["stale_set"] += emptied
        return moved, emptied, emptied < len(late)
