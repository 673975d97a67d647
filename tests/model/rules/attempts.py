"""Rules: tasks are taken, run, and end; their workers die, or their leases run out."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.wire.attempts import members
from rota.wire.fetch import MAX_BYTES, PAUSED, Notes, fetch, reclaim
from rota.wire.outcome import Held, Outcome, done, extend, record
from rota.wire.recover import Move, Moved, expired, recover
from tests.model.queue.task import FAR
from tests.model.rules.machine import MAX_CRASHES, PICK, SLACK, Machine

LEASE = timedelta(seconds=30)
WORKERS = ("w1", "w2")
KINDS = st.sampled_from(["done", "complete", "retry", "archive", "requeue", "postpone"])
PICKS = st.lists(PICK, min_size=1, max_size=4, unique=True)
WHICH = st.sampled_from(["live", "live", "fenced", "any"])
OVER, OVER_OF_GO = 1_500_000_000.5, 1_500_000_000.0


def known(notes: Notes | None) -> tuple[bool, int, str]:
    """What a fetch tells of a task besides its message: a request to cancel it, its crashes, its explicit options."""
    return (False, 0, "") if notes is None else (bool(notes.cancel), notes.crashes, notes.explicit)


class Attempts(Machine):
    @precondition(lambda self: self.model.pending)
    @rule(wanted=st.integers(1, 4), worker=st.sampled_from(WORKERS))
    def fetch(self, wanted: int, worker: str) -> None:
        token = f"{worker}-{self.number()}"
        fetched = self.run(fetch([(self.keys, wanted)], token=token, wanted=wanted, lease_seconds=30))
        [batch] = fetched.batches
        taken = [task_id.decode() for task_id in batch.tasks[::2]]
        assert taken == self.model.fetch(wanted, token)
        assert batch.dangling == []
        assert (batch.state == PAUSED) == self.model.paused
        for i, task_id in enumerate(taken):
            notes, task = batch.notes.get(i), self.model.tasks[task_id]
            assert known(notes) == (task.cancel, task.crashes, task.explicit)
        self.tokens += [(task_id, token) for task_id in taken]

    @precondition(lambda self: self.tokens)
    @rule(pick=PICK, large=st.booleans())
    def reclaim(self, pick: int, large: bool) -> None:
        """The reply of a fetch was lost: its worker takes over what it has got, one by one where messages are large."""
        _, token = self.tokens[-1 - pick % len(self.tokens)]
        held = [task_id for task_id in self.model.active if self.model.runs(task_id, token)]
        new = f"{token.rpartition('-')[0]}-{self.number()}"
        most = 1 if large else MAX_BYTES
        words, notes, more = self.run(reclaim(self.keys, token, new_token=new, lease_seconds=30, most_bytes=most))
        assert more == (large and len(held) > 1)
        held = held[:1] if large else held
        assert [task_id.decode() for task_id in words[::2]] == held
        assert words[1::2] == [self.world.message(task_id) for task_id in held]
        for i, task_id in enumerate(held):
            note, task = notes.get(i), self.model.tasks[task_id]
            assert known(note) == (task.cancel, task.crashes, task.explicit)
        for task_id in held:
            self.model.tasks[task_id].token = new
        self.tokens += [(task_id, new) for task_id in held]
        self.model.dead -= set(held)

    @rule()
    def pause_or_resume(self) -> None:
        self.model.paused = not self.model.paused
        self.model.paused_with = b"1" if self.model.paused else None
        if self.model.paused:
            self.world.redis.set(self.keys.paused, 1)
        else:
            self.world.redis.delete(self.keys.paused)

    def attempts(self, picks: list[int], which: str) -> list[tuple[str, str]]:
        """Some that run, or whose task somebody else has now, or any that ever were."""
        known = self.tokens
        if which == "live":
            known = [attempt for attempt in known if self.model.runs(*attempt)]
        elif which == "fenced":
            known = [each for each in known if each[0] in self.model.active and not self.model.runs(*each)]
        return list(dict(known[pick % len(known)] for pick in picks).items()) if known else []

    # Ending

    @precondition(lambda self: self.tokens)
    @rule(picks=PICKS, which=WHICH, kind=KINDS, far=st.booleans(), counts=st.booleans(), begun=st.booleans())
    def record(self, picks: list[int], which: str, kind: Any, far: bool, counts: bool, begun: bool) -> None:
        attempts = self.attempts(picks, which)
        outcomes = [Outcome(i, token, kind, seconds=3600 if far else 0, counts=counts) for i, token in attempts]
        begun = begun and kind != "done"
        for outcome in outcomes if begun else ():
            outcome.attempt = members(worker=outcome.token.rpartition("-")[0])
        call = record(self.keys, outcomes)
        # The script goes from the last one to the first, so that what goes back is in its old order.
        codes = [self.model.record(i, token, kind, FAR, counts=counts, begun=begun) for i, token in reversed(attempts)]
        expected = codes[::-1]
        assert self.run(call) == {n: code for n, code in enumerate(expected) if code}
        if not far and kind in ("complete", "retry", "postpone"):
            for (task_id, _), code in zip(attempts, expected, strict=True):
                if code == 0:
                    self.let_pass(task_id)
        again = [self.model.standing(i, token) for i, token in attempts]
        assert all(again)
        assert self.run(call) == dict(enumerate(again))

    @precondition(lambda self: self.tokens)
    @rule(picks=PICKS, which=WHICH)
    def record_plain_successes(self, picks: list[int], which: str) -> None:
        # The fast path is for tasks without a lock.
        attempts = [
            each for each in self.attempts(picks, which) if (task := self.task(each[0])) is None or not task.lock
        ]
        expected = [self.model.record(i, token, "done") for i, token in attempts]
        words = [word for attempt in attempts for word in attempt]
        assert self.run(done(self.keys, words)) == {n: code for n, code in enumerate(expected) if code}

    # Leases

    @precondition(lambda self: self.tokens)
    @rule(picks=PICKS, which=WHICH, expecting=st.sampled_from(["nothing", "what is there", "another message"]))
    def extend(self, picks: list[int], which: str, expecting: str) -> None:
        """The heartbeat of a worker. One whose lease may have run out says which message it had fetched."""
        attempts = self.attempts(picks, which)
        words = {"nothing": lambda _: b"", "what is there": self.world.message, "another message": lambda _: b"?"}
        held = [Held(task_id, token, words[expecting](task_id)) for task_id, token in attempts]
        ours = [self.model.runs(*attempt) and expecting != "another message" for attempt in attempts]
        lost, cancelled = self.run(extend(self.keys, held, LEASE))
        assert lost == [n for n, each in enumerate(ours) if not each]
        kept = [n for n, each in enumerate(ours) if each]
        assert set(cancelled) == {n for n in kept if self.model.tasks[attempts[n][0]].cancel}
        self.model.dead -= {task_id for (task_id, _), each in zip(attempts, ours, strict=True) if each}

    @precondition(lambda self: self.model.active)
    @rule(pick=PICK)
    def lease_runs_out(self, pick: int) -> None:
        if alive := sorted(set(self.model.active) - self.model.dead):
            task_id = alive[pick % len(alive)]
            self.world.move("lease", task_id, OVER_OF_GO if self.model.tasks[task_id].go else OVER)
            self.model.dead.add(task_id)

    @precondition(lambda self: self.model.dead)
    @rule(kind=st.sampled_from(["crash", "crash", "retry", "archive", "drop"]), late=st.booleans())
    def recover(self, kind: Any, late: bool) -> None:
        """`late`: the first of the attempts shows that it lives after the recoverer has looked."""
        found = self.run(expired(self.keys, SLACK))
        assert {dead.id: dead.ours for dead in found.attempts} == {i: not self.task(i).go for i in self.model.dead}
        assert [dead.explicit for dead in found.attempts] == [self.task(dead.id).explicit for dead in found.attempts]
        moves = [Move(dead, kind, delay=timedelta(hours=1), text="gone") for dead in found.attempts]
        codes = [Moved.CHANGED if kind == "drop" else Moved.DONE] * len(moves)
        first = moves[0].dead
        if late and self.run(extend(self.keys, [Held(first.id, first.token.decode())], LEASE)).lost == []:
            self.model.dead.remove(first.id)
            codes[0] = Moved.ALIVE
        call = recover(self.keys, SLACK, moves, MAX_CRASHES)
        assert self.run(call) == codes
        for move, code in zip(moves, codes, strict=True):
            if code is Moved.DONE:
                self.moved(move.dead.id, kind)
        again = [Moved.CHANGED if code is Moved.DONE else code for code in codes]
        assert self.run(call) == again

    def moved(self, task_id: str, kind: str) -> None:
        self.model.repaired["expired_lease"] += 1
        if kind == "crash":
            self.model.crash(task_id, MAX_CRASHES)
        else:
            self.model.lose(task_id, kind)
