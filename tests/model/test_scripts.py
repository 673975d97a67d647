"""The scripts against a model, by hypothesis: any sequence of operations leaves what the model says, and nothing else.

`HYPOTHESIS_PROFILE=long` looks for much longer; `--hypothesis-seed` repeats a run.
"""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_as_test

from rota.errors import BrokerRefused
from rota.wire import edit
from rota.wire.enqueue import Item, enqueue, enqueue_plain
from rota.wire.fetch import fetch
from rota.wire.forward import forward
from rota.wire.janitor import clean
from rota.wire.message import pack, unpack
from rota.wire.once import Stamp, memory_key, once
from rota.wire.record import Outcome, done, record
from rota.wire.recover import Move, Moved, Slack, expired, recover
from rota.wire.script import Call
from rota.wire.unique import own_unique_key, unique_key
from tests.model.queue import FAR, NOW, Queue, Task
from tests.model.world import World

AMOUNTS = {"quick": (80, 50), "long": (1500, 80)}
EXAMPLES, STEPS = AMOUNTS[os.environ.get("HYPOTHESIS_PROFILE", "quick")]

MAX_CRASHES = 2
SLACK = Slack(timedelta(seconds=5), timedelta(seconds=30))
CHOSEN = ("a", "b", "c")
PAYLOADS = st.sampled_from([b"1", b"2", b"3"])
PICK = st.integers(0, 30)
KINDS = st.sampled_from(["done", "complete", "retry", "archive", "requeue", "postpone"])


class Scripts(RuleBasedStateMachine):
    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.redis.flushdb()
        self.keys = self.world.keys
        self.model = Queue()
        self.numbers = 0
        self.tokens: list[tuple[str, str]] = []
        self.sent: list[tuple[Call[Any], Any]] = []

    # Choosing

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def any_id(self, pick: int) -> str:
        known = [*sorted(self.model.tasks), "nobody"]
        return known[pick % len(known)]

    def lock(self, payload: bytes, own_key: bool) -> str:
        return own_unique_key(self.keys, "t", "k") if own_key else unique_key(self.keys, "t", payload)

    def run(self, call: Any) -> Any:
        return self.world.broker.run(call)

    def send(self, call: Call[Any]) -> Any:
        """Send a request as a client does, and again because the reply was lost: the same answer, and nothing done."""
        stamped = once(call, Stamp(memory_key(self.keys, "sender"), self.number(), 60))
        reply = self.run(stamped)
        assert self.run(stamped) == reply
        self.sent.append((stamped, reply))
        return reply

    @initialize(wanted=st.integers(0, 4))
    def begin(self, wanted: int) -> None:
        for payload, task_id, scope in ((b"1", "a", "running"), (b"2", "b", "ttl"), (b"3", "c", "queued")):
            self.enqueue(payload, task_id, False, "", scope, False, "return")
        self.enqueue_plain(b"1", 2)
        if wanted:
            self.fetch(wanted)

    # Adding

    @precondition(lambda self: len(self.model.pending) < 4)
    @rule(payload=PAYLOADS, number=st.integers(1, 3))
    def enqueue_plain(self, payload: bytes, number: int) -> None:
        tasks = [Task(f"m{self.number()}", payload) for _ in range(number)]
        pairs = [word for task in tasks for word in (task.id, pack("t", payload, task.id, queue="q"))]
        assert self.send(enqueue_plain(self.keys, pairs)) == number
        for task in tasks:
            self.model.enqueue(task, 0, "return")

    @rule(
        payload=PAYLOADS,
        chosen=st.sampled_from([None, *CHOSEN]),
        delayed=st.booleans(),
        group=st.sampled_from(["", "", "g", "h"]),
        scope=st.sampled_from([None, "ttl", "queued", "running"]),
        own_key=st.booleans(),
        on_conflict=st.sampled_from(["return", "replace"]),
    )
    def enqueue(
        self, payload: bytes, chosen: str | None, delayed: bool, group: str, scope: str | None, own_key: bool,
        on_conflict: str,
    ) -> None:  # fmt: skip
        task_id = chosen or f"m{self.number()}"
        lock = "" if scope is None else self.lock(payload, own_key)
        item = Item(
            task_id,
            pack("t", payload, task_id, queue="q", unique_key=lock, group=group),
            when="+3600" if delayed else "",
            group=group,
            lock=lock,
            lock_ms=600_000 if scope == "ttl" else "",
            scope=scope or "ttl",
            on_conflict=on_conflict,
        )
        [reply] = self.send(enqueue(self.keys, [item]))
        task = Task(task_id, payload, lock=lock, scope=scope or "ttl", group=group)
        assert reply == self.model.enqueue(task, FAR if delayed else 0, on_conflict)

    @precondition(lambda self: self.sent)
    @rule()
    def the_last_request_comes_again(self) -> None:
        call, reply = self.sent[-1]
        assert self.run(call) == reply

    @precondition(lambda self: len(self.sent) > 1)
    @rule(pick=PICK)
    def a_request_that_was_given_up_comes_late(self, pick: int) -> None:
        call, _ = self.sent[pick % (len(self.sent) - 1)]
        with pytest.raises(BrokerRefused, match="comes late"):
            self.run(call)

    # Taking and ending

    @precondition(lambda self: self.model.pending)
    @rule(wanted=st.integers(1, 4))
    def fetch(self, wanted: int) -> None:
        token = f"token-{self.number()}"
        fetched = self.run(fetch([(self.keys, wanted)], token=token, wanted=wanted, lease_seconds=30))
        [batch] = fetched.batches
        taken = [task_id.decode() for task_id in batch.tasks[::2]]
        expected = self.model.fetch(wanted, token)
        assert taken == expected
        assert batch.dangling == []
        for i, task_id in enumerate(taken):
            notes, task = batch.notes.get(i), self.model.tasks[task_id]
            assert (bool(notes and notes.cancel), notes.crashes if notes else 0) == (task.cancel, task.crashes)
        self.tokens += [(task_id, token) for task_id in taken]

    def attempts(self, picks: list[int], live: bool) -> list[tuple[str, str]]:
        """Some that run, or any that ever were: so also fenced ones and those that are over."""
        tasks = self.model.tasks
        running = [(i, token) for i, token in self.tokens if i in tasks and tasks[i].state == "active"]
        known = [(i, token) for i, token in running if tasks[i].token == token] if live else self.tokens
        return list(dict(known[pick % len(known)] for pick in picks).items()) if known else []

    @precondition(lambda self: self.tokens)
    @rule(
        picks=st.lists(PICK, min_size=1, max_size=3, unique=True),
        live=st.booleans(),
        kind=KINDS,
        far=st.booleans(),
        counts=st.booleans(),
    )
    def record(self, picks: list[int], live: bool, kind: Any, far: bool, counts: bool) -> None:
        attempts = self.attempts(picks, live)
        outcomes = [Outcome(i, token, kind, seconds=3600 if far else 0, counts=counts) for i, token in attempts]
        call = record(self.keys, outcomes)
        expected = [self.model.record(i, token, kind, FAR, counts=counts) for i, token in attempts]
        assert self.run(call) == {n: code for n, code in enumerate(expected) if code}
        if not far and kind in ("complete", "retry", "postpone"):
            for (task_id, _), code in zip(attempts, expected, strict=True):
                if code == 0:
                    self._let_pass(task_id)
        again = [self.model.standing(i, token) for i, token in attempts]
        assert all(again)
        assert self.run(call) == dict(enumerate(again))

    @precondition(lambda self: self.tokens)
    @rule(picks=st.lists(PICK, min_size=1, max_size=4, unique=True), live=st.booleans())
    def record_plain_successes(self, picks: list[int], live: bool) -> None:
        # The fast path is for tasks without a lock.
        attempts = [
            each for each in self.attempts(picks, live) if not (self._task(each[0]) and self._task(each[0]).lock)
        ]
        expected = [self.model.record(i, token, "done") for i, token in attempts]
        words = [word for attempt in attempts for word in attempt]
        assert self.run(done(self.keys, words)) == {n: code for n, code in enumerate(expected) if code}

    def _task(self, task_id: str) -> Any:
        return self.model.tasks.get(task_id)

    @precondition(lambda self: any(task.at < NOW for task in self.model.tasks.values()))
    @rule()
    def forward(self) -> None:
        moved = self.run(forward(self.keys))
        assert (moved.moved, moved.dropped, moved.more) == (self.model.promote(), 0, False)

    # Time

    @precondition(lambda self: self.model.tasks)
    @rule(pick=PICK)
    def become_due(self, pick: int) -> None:
        waiting = sorted(self.model.ids("scheduled") | self.model.ids("retry") | self.model.ids("completed"))
        if waiting:
            self._let_pass(waiting[pick % len(waiting)])

    def _let_pass(self, task_id: str) -> None:
        task = self.model.tasks[task_id]
        if task.state in ("scheduled", "retry", "completed"):
            task.at = self.world.past()
            self.world.move(task.state, task_id, task.at)

    @precondition(lambda self: self.model.locks)
    @rule(pick=PICK)
    def lock_runs_out(self, pick: int) -> None:
        if self.model.locks:
            lock = sorted(self.model.locks)[pick % len(self.model.locks)]
            self.world.redis.delete(lock)
            del self.model.locks[lock]

    @precondition(lambda self: self.model.ids("active"))
    @rule(pick=PICK)
    def lease_runs_out(self, pick: int) -> None:
        if alive := sorted(self.model.ids("active") - self.model.dead):
            task_id = alive[pick % len(alive)]
            self.world.move("lease", task_id, 1_500_000_000.5)
            self.model.dead.add(task_id)

    @precondition(lambda self: self.model.dead)
    @rule(kind=st.sampled_from(["crash", "crash", "retry", "archive"]))
    def recover(self, kind: Any) -> None:
        found = self.run(expired(self.keys, SLACK))
        assert {dead.id for dead in found.attempts} == self.model.dead
        moves = [Move(dead, kind, delay=timedelta(hours=1), text="gone") for dead in found.attempts]
        call = recover(self.keys, SLACK, moves, MAX_CRASHES)
        assert self.run(call) == [Moved.DONE] * len(moves)
        for dead in found.attempts:
            if kind == "crash":
                self.model.crash(dead.id, MAX_CRASHES)
            else:
                self.model.lose(dead.id, kind)
        assert self.run(call) == [Moved.CHANGED] * len(moves)

    @precondition(lambda self: self.model.ids("archived") or self.model.ids("completed"))
    @rule(size=st.integers(0, 3))
    def clean(self, size: int) -> None:
        over = [i for i in self.world.order("completed") if self.model.tasks[i].at < FAR]
        archived = sorted(self.model.ids("archived"))
        for i, task_id in enumerate(archived):  # not the real second: a run must be the same at any time
            self.world.move("archived", task_id, time.time() - 1000 + i)
        trimmed = archived[: max(0, len(archived) - size)]
        cleaned = self.run(clean(self.keys, limit=100, archive_size=size, archive_age=timedelta(days=90)))
        assert (cleaned.expired, cleaned.trimmed, cleaned.more) == (len(over), len(trimmed), False)
        self.model.clean(over, trimmed)

    # Changing

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        task_id = self.any_id(pick)
        assert self.send(edit.cancel(self.keys, task_id, "enough")).reply == self.model.cancel(task_id)

    @rule(pick=PICK)
    def run_now(self, pick: int) -> None:
        task_id = self.any_id(pick)
        assert self.send(edit.run_now(self.keys, task_id)).reply == self.model.run_now(task_id)

    @rule(pick=PICK, far=st.booleans())
    def reschedule(self, pick: int, far: bool) -> None:
        task_id, at = self.any_id(pick), FAR if far else self.world.past()
        assert self.send(edit.reschedule(self.keys, task_id, str(at))).reply == self.model.reschedule(task_id, at)

    @rule(pick=PICK)
    def delete(self, pick: int) -> None:
        task_id = self.any_id(pick)
        assert self.send(edit.delete(self.keys, task_id)).reply == self.model.delete(task_id)

    @rule(pick=PICK, payload=PAYLOADS)
    def update_payload(self, pick: int, payload: bytes) -> None:
        task_id = self.any_id(pick)
        message = self.world.message(task_id)
        old = unpack(message)
        moves = old.unique_key == unique_key(self.keys, "t", old.payload)
        lock = unique_key(self.keys, "t", payload) if moves else old.unique_key
        edited = self.send(edit.update_payload(self.keys, task_id, message, payload))
        assert edited.reply == self.model.update_payload(task_id, payload, lock)

    @invariant()
    def redis_is_as_the_model_says(self) -> None:
        self.world.compare(self.model)


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    world = World(redis_url)
    yield world
    world.close()


@pytest.mark.timeout(7200 if EXAMPLES > 1000 else 120)
def test_any_sequence_of_operations_leaves_what_the_model_says(world: World) -> None:
    Scripts.world = world
    amount = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        print_blob=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_as_test(Scripts, settings=amount)
