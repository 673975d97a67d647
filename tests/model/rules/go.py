"""Rules: a Go server serves the same queue. It has no fencing, so it may end what somebody else has taken since."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.go import GoServer
from tests.model.rules.machine import PICK, Machine


class Go(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.server = GoServer(self.world.redis, self.keys)
        self.running: list[str] = []
        """What the server believes to run: tasks that it has taken, and did not end."""

    @precondition(lambda self: self.model.pending)
    @rule()
    def go_takes_one(self) -> None:
        taken = self.server.dequeue()
        assert taken == self.model.go_fetch()
        if taken:
            self.running.append(taken)

    @precondition(lambda self: self.running)
    @rule(pick=PICK, kind=st.sampled_from(["done", "complete", "retry", "archive", "requeue"]))
    def go_ends_one(self, pick: int, kind: str) -> None:
        task_id = self.running.pop(pick % len(self.running))
        task = self.task(task_id)
        words = [task.lock if task else ""] if kind in ("done", "complete") else []
        ended = getattr(self.server, kind)(task_id, *words)
        assert ended == self.model.go_record(task_id, kind)

    @precondition(lambda self: self.running)
    @rule()
    def go_extends_its_leases(self) -> None:
        self.server.extend_leases(self.running)
        self.model.go_extend(self.running)

    @precondition(lambda self: self.model.dead)
    @rule()
    def go_recovers(self) -> None:
        assert sorted(self.server.recover()) == sorted(self.model.dead)
        self.model.go_recover()

    @precondition(lambda self: self.model.due("scheduled") or self.model.due("retry"))
    @rule()
    def go_forwards(self) -> None:
        self.server.forward()
        self.model.go_forward()

    @precondition(lambda self: self.model.late_sets())
    @rule()
    def go_reclaims_sets(self) -> None:
        self.server.reclaim_sets()
        self.model.go_reclaim_sets()
