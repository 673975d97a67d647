"""Rules: a queue is paused for workers, producers or both, drained, resumed and deleted."""

from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.wire import pause
from rota.wire import queue_deletion as deletion
from tests.model.rules.machine import PICK, Machine

WHOM = st.sampled_from(["workers", "producers", "both"])


class Pauses(Machine):
    @rule(whom=WHOM)
    def pause_for(self, whom: pause.Whom) -> None:
        call = pause.pause(self.keys, whom, by="anna", reason="full")
        self.run(call)
        stopped = self.run(call)  # the reply was lost
        self.model.pause(whom, self.world.redis.get(self.keys.paused))
        assert stopped is not None
        self.compare_pauses(stopped)

    @rule()
    def drain(self) -> None:
        stopped = self.run(pause.pause(self.keys, "producers", by="anna", reason="", kind="drain"))
        self.model.pause("producers", None)
        self.compare_pauses(stopped)
        assert stopped.producers.kind == "drain"

    @rule(whom=WHOM)
    def resume(self, whom: pause.Whom) -> None:
        before = self.run(pause.resume(self.keys, whom))
        self.compare_pauses(before)
        self.model.resume(whom)
        self.compare_pauses(self.run(pause.look(self.keys)))

    def compare_pauses(self, seen: pause.Pauses) -> None:
        assert (seen.workers is not None, seen.producers is not None) == (self.model.paused, self.model.refuses())

    @precondition(lambda self: self.numbers > 12)
    @rule(pick=PICK, resumed=st.booleans())
    def delete_queue(self, pick: int, resumed: bool) -> None:
        """A few sequences delete everything; `resumed`: somebody gives the queue back before anything is deleted."""
        if pick % 5:
            return
        begin = deletion.begin(self.keys, "d", by="anna", reason="", force=True)
        assert [self.run(begin).begun for _ in range(2)] == [True, True]
        if resumed:
            self.run(pause.resume(self.keys))
            self.model.resume("both")
            assert self.run(deletion.remove(self.keys, "d", [self.keys.processed])) == deletion.ENDED
            assert self.run(deletion.end(self.keys, "d")) == deletion.ENDED
            return
        deleted = sum(self.emptied(place) for place in deletion.places(self.keys))
        deleted += sum(self.emptied(place) for place in self.run(deletion.groups(self.keys)))
        known = deletion.known_keys(self.keys, datetime.now(UTC).date())
        scanned = [name.decode() for name in self.world.redis.keys(deletion.pattern(self.keys))]
        names = sorted({*known, *(name for name in scanned if deletion.is_part(self.keys, name))})
        for first in range(0, len(names), deletion.MOST_TASKS):
            self.run(deletion.remove(self.keys, "d", names[first : first + deletion.MOST_TASKS]))
        assert [self.run(deletion.end(self.keys, "d")) for _ in range(2)] == [deletion.GONE, deletion.GONE]
        assert deleted == self.model.delete_all()

    def emptied(self, place: deletion.Place) -> int:
        deleted, more = 0, True
        while more:
            done = self.run(deletion.tasks(self.keys, "d", place, most=2))
            deleted, more = deleted + done.tasks, done.more
        return deleted
