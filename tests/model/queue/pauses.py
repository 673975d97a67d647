"""Pauses of a queue, for its workers, its producers or both, and its deletion."""

from tests.model.queue.places import Places


class Pauses(Places):
    def pause(self, whom: str, value: bytes | None) -> None:
        """`value` is what Asynq's key has then: a pause of both is over for both when a Go program deletes it."""
        self.refuses()
        if whom != "producers":
            self.paused, self.paused_with = True, value
        if whom != "workers":
            self.refused, self.bound_to = True, value if whom == "both" else None

    def resume(self, whom: str) -> None:
        self.refuses()
        if whom != "producers":
            self.paused, self.paused_with, self.bound_to = False, None, None
        if whom != "workers":
            self.refused, self.bound_to = False, None

    def delete_all(self) -> int:
        """Delete everything; returns the number of tasks."""
        deleted = len(self.tasks)
        for each in (self.tasks, self.pending, self.active, self.dead, self.sets, self.nameless, self.locks):
            each.clear()
        self.failures.clear()
        self.repaired.clear()
        self.paused, self.paused_with, self.refused, self.bound_to = False, None, False, None
        self.processed = self.failed = self.crashed = self.trimmed = 0
        return deleted
