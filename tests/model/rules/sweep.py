"""Rules: the sweep finds what there is to be done, and nothing to repair where nothing is broken."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from rota.wire.reconcile import PLACES, Discrepancy
from rota.wire.sweep import Need
from tests.model.queue.task import NOW
from tests.model.rules.machine import PICK, Machine
from tests.model.sweep import ARCHIVE_SIZE, Sweep

TROUBLES = ("ghost", "stub", "stray", "unleased", "misplaced", "unlisted", "ungrouped")
MARKED_AS_NOW = """
local row = redis.call('HMGET', KEYS[1], 'state', 'rota_token', 'pending_since', 'msg')
return redis.sha1hex((row[1] or '') .. '|' .. (row[2] or '') .. '|' .. (row[3] or '') .. '|' .. (row[4] or ''))
"""


class Sweeps(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def sweep(self) -> Sweep:
        """With pages of all sizes in turn."""
        return Sweep(self.world, (1, 500, 2)[self.steps // 3 % 3])

    @invariant()
    def the_sweep_finds_what_go_has_left_and_nothing_else(self) -> None:
        self.steps += 1
        if self.steps % 3 == 0:
            self.look_for_trouble()

    def look_for_trouble(self) -> None:
        sweep, model = self.sweep(), self.model
        found = {(finding.id.decode(), finding.trouble) for finding in sweep.findings()}
        nameless = [task_id for group in model.nameless for task_id in model.members(group)]
        assert found == {(task_id, "ungrouped") for task_id in nameless}
        assert {lock.key: lock.id.decode() for lock in sweep.stray_locks()} == model.stray_locks()
        seen = sweep.look()
        assert seen.need == self._needed(), f"{seen.need!r} is not {self._needed()!r}"
        assert seen.dead_in is None

    def _needed(self) -> Need:
        model, archived = self.model, self.model.ids("archived")
        waits = model.due("scheduled") or model.due("retry")
        flags = {
            Need.FORWARD: waits,
            Need.WAITING: model.pending and not model.paused,
            Need.EXPIRED: model.due("completed"),
            Need.TRIM: len(archived) > ARCHIVE_SIZE,
            Need.RECOVER: model.dead,
            Need.RECLAIM: any(each.at < NOW for each in model.sets.values() if each.state == "late"),
            Need.HELD: any(task.state != "aggregating" for task in model.tasks.values()),
        }
        return Need(sum(flag for flag, needed in flags.items() if needed))

    @precondition(lambda self: self.model.nameless or self.model.stray_locks())
    @rule()
    def reconcile(self) -> None:
        """What Go's servers have left behind is repaired."""
        stray = self.model.stray_locks()
        expected = Counter(ungrouped=len(self.model.nameless), lock=len(stray))
        done = self.sweep().reconcile()
        assert +done == +expected
        self.model.nameless.clear()
        for lock in stray:
            del self.model.locks[lock]
        self.model.repaired += expected

    @precondition(lambda self: self.model.tasks)
    @rule(pick=PICK, trouble=st.sampled_from(TROUBLES), place=st.sampled_from(["", *PLACES]))
    def what_was_found_is_not_so_any_more(self, pick: int, trouble: str, place: str) -> None:
        """Somebody else has repaired it, or it moved on and came back: nothing is done to what is well."""
        task_id = self.any_id(pick)
        task = self.task(task_id)
        if trouble == "ungrouped" and task and task.group in self.model.nameless:
            return
        mark = self.world.redis.eval(MARKED_AS_NOW, 1, self.keys.task(task_id))
        finding = Discrepancy(task_id.encode(), place, trouble, mark)
        done = self.sweep().repair([finding])
        assert done == [""]
