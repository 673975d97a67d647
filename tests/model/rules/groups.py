"""Rules: groups are aggregated, by aggregators that fail, die, and send their requests twice."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.wire import group as wire
from rota.wire.group import AggregationSet, Due, Ended, SortedOut
from rota.wire.recover import reclaim_sets
from tests.model.queue.groups import DONE, DONE_BEFORE
from tests.model.rules.adding import Adding
from tests.model.rules.machine import CHOSEN, PAYLOADS, PICK

DAY = timedelta(days=1)
MOST_FAILURES = 2
WAYS = ("too few", "enough", "old enough", "quiet for long")


class Groups(Adding):
    def __init__(self) -> None:
        super().__init__()
        self.taken: list[AggregationSet] = []
        """Each set that there ever was."""

    def a_set(self, pick: int, state: str = "") -> AggregationSet:
        """Mostly one in this state, if there is any; else any that ever was, the last one first."""
        sets = self.model.sets
        known = [each for each in self.taken if each.id in sets and sets[each.id].state == state]
        known = known if known and pick % 4 else self.taken
        return known[-1 - pick % len(known)]

    @precondition(lambda self: self.model.groups())
    @rule(pick=PICK, way=st.sampled_from(WAYS), size=st.integers(1, 4))
    def take(self, pick: int, way: str, size: int) -> None:
        group = sorted(self.model.groups())[pick % len(self.model.groups())]
        waiting = len(self.model.members(group))
        due = {
            "too few": Due(waiting + size, DAY, DAY),
            "enough": Due(min(size, waiting), None, DAY),
            "old enough": Due(None, timedelta(), DAY),
            "quiet for long": Due(waiting + size, None, timedelta()),
        }[way]
        chosen = AggregationSet(self.keys, group, f"s{self.number()}")
        taken = 0 if way == "too few" else self.model.take(group, chosen.id, due.size or 500)
        assert self.run(wire.take(chosen, due, DAY)) == taken
        if taken:
            self.taken.append(chosen)

    @precondition(lambda self: self.taken)
    @rule(pick=PICK, first=st.integers(0, 2))
    def members(self, pick: int, first: int) -> None:
        taken = self.a_set(pick)
        expected = [(i, self.world.message(i)) for i in self.model.members_of_set(taken.id)[first:]]
        assert self.run(wire.members(taken, first)) == (expected, False)

    @precondition(lambda self: self.taken)
    @rule(pick=PICK, kinds=st.lists(st.tuples(PICK, st.sampled_from(["back", "archive"])), min_size=1, max_size=3))
    def sort_out(self, pick: int, kinds: list[tuple[int, str]]) -> None:
        """Not all of those chosen are in the set (any more)."""
        taken = self.a_set(pick, "open")
        if taken.id in self.model.sets and self.model.sets[taken.id].state == "spent":
            return  # who has ended it sorts nothing out
        members = [*self.model.members_of_set(taken.id), self.any_id(kinds[0][0])]
        chosen = {members[i % len(members)]: kind for i, kind in kinds}
        words = [SortedOut(task_id, kind) for task_id, kind in chosen.items()]  # type: ignore[arg-type]
        assert self.run(wire.sort_out(taken, words)) == self.model.sort_out(taken.id, list(chosen.items()))

    @precondition(lambda self: self.taken)
    @rule(
        pick=PICK,
        payload=PAYLOADS,
        chosen=st.sampled_from([None, None, *CHOSEN]),
        scope=st.sampled_from([None, None, "ttl", "queued", "running"]),
        on_conflict=st.sampled_from(["return", "replace"]),
        empty=st.booleans(),
    )
    def aggregate(
        self, pick: int, payload: bytes, chosen: str | None, scope: str | None, on_conflict: str, empty: bool
    ) -> None:
        taken = self.a_set(pick, "open")
        result = None if empty else self.new_task(payload, chosen, "", scope, own_key=False)
        call = wire.aggregate(taken, None if result is None else self.item(result, on_conflict))
        ended = self.model.aggregate(taken.id, result, on_conflict)
        answer = self.run(call)
        assert answer.ended == ended
        assert bool(answer.refusal) == (ended == Ended.REFUSED)
        assert self.run(call).ended == (DONE_BEFORE if ended == DONE else ended)

    @precondition(lambda self: self.taken)
    @rule(pick=PICK, limit=st.integers(1, 3))
    def spend(self, pick: int, limit: int) -> None:
        taken = self.a_set(pick, "spent")
        assert self.run(wire.spend(self.keys, taken.key, limit)) == self.model.spend(taken.id, limit)

    @precondition(lambda self: self.taken)
    @rule(pick=PICK)
    def failed(self, pick: int) -> None:
        taken = self.a_set(pick)
        number = self.model.fail_set(taken.id, taken.group, MOST_FAILURES)
        assert self.run(wire.failed(taken, most=MOST_FAILURES, wait=DAY)) == number

    @precondition(lambda self: any(each.state == "open" for each in self.model.sets.values()))
    @rule(pick=PICK)
    def an_aggregation_comes_too_late(self, pick: int) -> None:
        names = sorted(name for name, each in self.model.sets.items() if each.state == "open")
        late = self.model.sets[name := names[pick % len(names)]]
        late.state, late.at = "late", self.world.past()
        self.world.move("aggregation_sets", self.world.set_key(name, late.group), late.at)

    @precondition(lambda self: self.model.late_sets())
    @rule(limit=st.integers(1, 3))
    def reclaim_sets(self, limit: int) -> None:
        assert self.run(reclaim_sets(self.keys, limit)) == self.model.reclaim_sets(limit)

    @precondition(lambda self: self.model.groups() or self.model.sets)
    @rule()
    def look_at_groups(self) -> None:
        look = self.run(wire.look(self.keys))
        assert {each.name: each.size for each in look.groups} == {
            name: len(self.model.members(name)) for name in self.model.groups() - self.model.nameless
        }
        spent = {
            self.world.set_key(name, each.group) for name, each in self.model.sets.items() if each.state == "spent"
        }
        assert look.spent in (spent or {""})
