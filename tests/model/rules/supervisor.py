"""Rules: who watches over worker processes extends what the living hold, and gives back what the dead held."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.wire.owner import Returned, give_back, keep, waiting
from tests.model.rules.attempts import LEASE, WORKERS
from tests.model.rules.machine import MAX_CRASHES, PAGE, Machine


class Supervisor(Machine):
    @precondition(lambda self: self.model.active)
    @rule(worker=st.sampled_from(WORKERS), crashed=st.booleans(), page=PAGE)
    def a_process_dies(self, worker: str, crashed: bool, page: int) -> None:
        """Its tasks are given back page by page, and then there are none."""
        self.give_back(worker, MAX_CRASHES if crashed else 0, page)
        assert self.give_back(worker, MAX_CRASHES if crashed else 0, page) == 0

    def give_back(self, worker: str, max_crashes: int, page: int) -> int:
        left, total = None, 0
        while left != 0:
            looked, after = self.model.page_of_active(left, page)
            held = [task_id for task_id in looked if self.model.holds(worker, task_id)]
            where = Counter(self.model.crash(task_id, max_crashes) for task_id in held)
            call = give_back(self.keys, worker, max_crashes=max_crashes, error="died", oldest=left, page=page)
            expected = Returned(after, where["pending"], where["cancelled"], where["quarantined"])
            assert self.run(call) == expected
            total += expected.tasks
            left = after
        return total

    @precondition(lambda self: self.model.active)
    @rule(workers=st.sets(st.sampled_from(WORKERS), min_size=1), page=PAGE)
    def a_heartbeat_is_late(self, workers: set[str], page: int) -> None:
        left = None
        while left != 0:
            looked, after = self.model.page_of_active(left, page)
            held = [i for i in looked if any(self.model.holds(worker, i) for worker in workers)]
            assert self.run(keep(self.keys, sorted(workers), LEASE, oldest=left, page=page)) == (after, len(held))
            self.model.dead -= set(held)
            left = after

    @rule()
    def waiting(self) -> None:
        assert self.run(waiting(self.keys)) == (0 if self.model.paused else len(self.model.pending))
