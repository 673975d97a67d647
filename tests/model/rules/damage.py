"""Rules: what a crash, an eviction or a hand can leave behind is planted, and the sweep repairs just that.

Each kind is one of the table in `docs/internals.md`. It says what was broken, and the model what has to come of it.
"""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.wire import group as wire
from rota.wire.keys import own_unique_key, unique_key
from tests.model.queue.task import FAR, Task
from tests.model.rules.attempts import OVER, OVER_OF_GO, Attempts
from tests.model.rules.groups import Groups
from tests.model.rules.machine import MAX_CRASHES, PAGE, PICK
from tests.model.rules.sweep import Sweeps
from tests.model.sweep import TO_DO, Sweep

LISTS = ("pending", "active")
PLACES = (*LISTS, "scheduled", "retry", "archived", "completed")
STATES = (*PLACES, "aggregating")
KINDS = (
    "unleased", "stray_lease", "unlisted", "quarantined", "relabelled", "misplaced", "ghost", "stub", "ungrouped",
    "lock", "living_lock", "expired_lease", "delisted", "stale_set",
)  # fmt: skip


class Damage(Groups, Attempts, Sweeps):
    def __init__(self) -> None:
        super().__init__()
        self.hurt: set[str] = set()
        """Tasks that are broken now."""
        self.in_front: set[str] = set()
        """Those of them that go to the front of the line, in any order."""

    @precondition(lambda self: not self.model.nameless and not self.model.stray_locks())
    @rule(damage=st.lists(st.tuples(st.sampled_from(KINDS), PICK), min_size=1, max_size=4), page=PAGE)
    def some_things_break(self, damage: list[tuple[str, int]], page: int) -> None:
        self.hurt, self.in_front = set(), set()
        self.model.moment += 1
        expected: Counter[str] = Counter()
        for kind, pick in damage:
            expected.update(getattr(self, kind)(pick))
        done = Sweep(self.world, page).reconcile()
        assert done == expected, f"of {damage} {dict(done)} was repaired, not {dict(expected)}"
        self.model.repaired += expected
        self._settle()
        self.look_for_trouble()
        assert not self.sweep().look().need & TO_DO

    @precondition(lambda self: not self.model.nameless and not self.model.stray_locks())
    @rule(pick=PICK, page=PAGE)
    def everything_breaks_in_turn(self, pick: int, page: int) -> None:
        for n, kind in enumerate(KINDS):
            self.some_things_break([(kind, pick + n)], page)
            self.world.compare(self.model)

    def _settle(self) -> None:
        """Let the rest of the sweep run, and take over what the model cannot know: an order, and the time."""
        if number := len(self.in_front):
            line = [i.decode() for i in self.world.redis.lrange(self.keys.pending, -number, -1)]
            assert sorted(line) == sorted(self.model.pending[-number:]) == sorted(self.in_front)
            self.model.pending[-number:] = line
        for task_id in self.hurt & set(self.model.ids("scheduled", "retry")):
            self.let_pass(task_id)
        self.run(wire.look(self.keys))  # forgets the names of groups that are empty now
        if self.model.dead:
            self.recover("crash", late=False)
        while self.model.late_sets():
            self.reclaim_sets(2)

    def _choose(self, pick: int, *states: str) -> Task | None:
        whole = [task_id for task_id in self.model.ids(*states) if task_id not in self.hurt | self.model.dead]
        if not whole:
            return None
        self.hurt.add(whole[pick % len(whole)])
        return self.model.tasks[whole[pick % len(whole)]]

    def _add(self, place: str, task_id: str) -> None:
        if place in LISTS:
            self.world.redis.lpush(self.keys.base + place, task_id)
        else:
            self.world.redis.zadd(self.keys.base + place, {task_id: FAR})

    def _take_out(self, task: Task) -> None:
        keys, client = self.keys, self.world.redis
        if task.state in LISTS:
            client.lrem(keys.base + task.state, 0, task.id)
            client.zrem(keys.lease, task.id)
        elif task.set:
            client.zrem(self.world.set_key(task.set, task.group), task.id)
        else:
            client.zrem(keys.group(task.group) if task.state == "aggregating" else keys.base + task.state, task.id)

    # Leases

    def unleased(self, pick: int) -> list[str]:
        if (task := self._choose(pick, "active")) is None:
            return []
        self.world.redis.zrem(self.keys.lease, task.id)
        task.go = task.go and not task.token  # a token speaks for us, until the next beat of a Go server
        return ["unleased"]

    def stray_lease(self, pick: int) -> list[str]:
        task = self._choose(pick, *(state for state in STATES if state != "active")) if pick % 3 else None
        self.world.redis.zadd(self.keys.lease, {task.id if task else f"x{self.number()}": FAR + pick % 2 / 2})
        return ["stray_lease"]

    def expired_lease(self, pick: int) -> list[str]:
        if task := self._choose(pick, "active"):
            self.world.move("lease", task.id, OVER_OF_GO if task.go else OVER)
            self.model.dead.add(task.id)
        return []  # the recovery counts it

    # Places

    def delisted(self, pick: int) -> list[str]:
        """One with a lease is left to the recovery, wherever it is: who runs it may be alive."""
        if task := self._choose(pick, "active"):
            self.world.redis.lrem(self.keys.active, 0, task.id)
            self.world.move("lease", task.id, OVER_OF_GO if task.go else OVER)
            self.model.dead.add(task.id)
        return []

    def unlisted(self, pick: int) -> list[str]:
        if (task := self._choose(pick, *STATES)) is None:
            return []
        self._take_out(task)
        if task.state == "active":
            if self.model.crash(task.id, MAX_CRASHES) == "quarantined":
                return ["quarantined"]
        elif task.state == "pending":
            self.model.pending.remove(task.id)
            self.model.pending.append(task.id)
            task.dated = True
        elif task.state == "aggregating":
            task.set = ""
            self.model.put(task, "aggregating")
        else:
            task.at = FAR
        self.in_front |= {task.id} & set(self.model.ids("pending"))
        return ["unlisted"]

    def quarantined(self, pick: int) -> list[str]:
        if (task := self._choose(pick, *STATES)) is None:
            return []
        self._take_out(task)
        self.world.redis.hset(self.keys.task(task.id), "state", "limbo")
        self.model.leave(task)
        task.token = ""
        self.model.archive(task, "quarantined")
        return ["quarantined"]

    def relabelled(self, pick: int) -> list[str]:
        if (task := self._choose(pick, *STATES)) is None:
            return []
        others = [state for state in (*STATES, "limbo") if state != task.state]
        self.world.redis.hset(self.keys.task(task.id), "state", others[pick % len(others)])
        task.dated = True
        return ["relabelled"]

    def misplaced(self, pick: int) -> list[str]:
        if (task := self._choose(pick, *STATES)) is None:
            return []
        others = [place for place in PLACES if place != task.state]
        self._add(others[pick % len(others)], task.id)
        return ["misplaced"]

    def ghost(self, pick: int) -> list[str]:
        task_id = f"x{self.number()}"
        self._add(PLACES[pick % len(PLACES)], task_id)
        if PLACES[pick % len(PLACES)] == "active" and pick % 2:
            self._add("lease", task_id)
        return ["ghost"]

    def stub(self, pick: int) -> list[str]:
        """A late result, or what Asynq's dequeue makes of an ID without a task."""
        task_id = f"x{self.number()}"
        if pick % 2:
            self.world.redis.hset(self.keys.task(task_id), "result", "late")
        else:
            self.world.redis.hset(self.keys.task(task_id), "state", "active")
            self._add("active", task_id)
            self._add("lease", task_id)
        return ["stub"]

    # Groups and locks

    def ungrouped(self, pick: int) -> list[str]:
        """Whoever puts a task into the group lists it again, so none of its tasks may be broken otherwise."""
        groups = sorted(self.model.groups() - {task.group for i in self.hurt if (task := self.task(i))})
        if not groups:
            return []
        group = groups[pick % len(groups)]
        self.hurt |= {task.id for task in self.model.tasks.values() if task.group == group}
        self.world.redis.srem(self.keys.groups, group)
        return ["ungrouped"]

    def lock(self, pick: int) -> list[str]:
        """Of a task that is gone: one without an end, one for a key of its own. Of a task past its scope: any."""
        ended = [task for i in self.model.ids("archived") if (task := self.model.tasks[i]).has_left_its_scope]
        if ended and pick % 3 == 2 and (task := ended[0]).lock and task.lock not in self.model.locks:
            return ["lock"] if self.world.redis.set(task.lock, task.id, nx=True) else []
        if pick % 3 == 1:
            return ["lock"] if self.world.redis.set(own_unique_key(self.keys, "t", "x"), "x", ex=600, nx=True) else []
        return ["lock"] if self.world.redis.set(unique_key(self.keys, "t", b"x"), "x", nx=True) else []

    def living_lock(self, pick: int) -> list[str]:
        """Asynq's lock of a task that is gone lives on until its time is over."""
        lock = unique_key(self.keys, "t", b"asynq")
        self.world.redis.set(lock, "x", ex=600)
        assert lock not in {stray.key for stray in self.sweep().stray_locks()}
        self.world.redis.delete(lock)
        return []

    def stale_set(self, pick: int) -> list[str]:
        if any(each.state == "open" for each in self.model.sets.values()):
            self.an_aggregation_comes_too_late(pick)
        return []  # what reclaims it counts it
