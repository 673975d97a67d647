"""Rules: tasks are added."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.errors import BrokerRefused
from rota.wire.enqueue import Item, debounce, enqueue, enqueue_plain
from rota.wire.forward import forward
from rota.wire.message import pack
from tests.model.queue.task import FAR, NOW, Task
from tests.model.rules.machine import CHOSEN, GROUPS, PAYLOADS, PICK, Machine


class Adding(Machine):
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
        group=st.sampled_from(["", "", *GROUPS]),
        scope=st.sampled_from([None, "ttl", "queued", "running"]),
        own_key=st.booleans(),
        on_conflict=st.sampled_from(["return", "replace"]),
    )
    def enqueue(
        self, payload: bytes, chosen: str | None, delayed: bool, group: str, scope: str | None, own_key: bool,
        on_conflict: str,
    ) -> None:  # fmt: skip
        task = self.new_task(payload, chosen, group, scope, own_key)
        item = self.item(task, on_conflict, "+3600" if delayed else "")
        [reply] = self.send(enqueue(self.keys, [item]))
        assert reply == self.model.enqueue(task, FAR if delayed else 0, on_conflict)

    def new_task(self, payload: bytes, chosen: str | None, group: str, scope: str | None, own_key: bool) -> Task:
        lock = "" if scope is None else self.lock_of(payload, own_key)
        return Task(chosen or f"m{self.number()}", payload, lock=lock, scope=scope or "ttl", group=group)

    def item(self, task: Task, on_conflict: str, when: str = "") -> Item:
        return Item(
            task.id,
            pack("t", task.payload, task.id, queue="q", unique_key=task.lock, group=task.group),
            when=when,
            group=task.group,
            lock=task.lock,
            lock_ms=600_000 if task.lock and task.scope == "ttl" else "",
            scope=task.scope,
            on_conflict=on_conflict,
        )

    @rule(payload=PAYLOADS, own_key=st.booleans(), over=st.booleans())
    def debounce(self, payload: bytes, own_key: bool, over: bool) -> None:
        """`over`: the longest wait is over, so the run is due at once."""
        lock = self.lock_of(payload, own_key)
        task = Task(f"m{self.number()}", payload, lock=lock, scope="queued")
        message = pack("t", payload, task.id, queue="q", unique_key=lock)
        longest = 0 if over else None
        reply = self.send(debounce(self.keys, task.id, message, lock=lock, wait_seconds=3600, max_wait_seconds=longest))
        assert reply == self.model.debounce(task, FAR)
        if over:
            self.let_pass(reply.id)

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

    @precondition(lambda self: any(task.at < NOW for task in self.model.tasks.values()))
    @rule()
    def forward(self) -> None:
        moved = self.run(forward(self.keys))
        assert (moved.moved, moved.dropped, moved.more) == (self.model.promote(), 0, False)

    @precondition(lambda self: self.model.ids("scheduled", "retry", "completed"))
    @rule(pick=PICK)
    def become_due(self, pick: int) -> None:
        waiting = self.model.ids("scheduled", "retry", "completed")
        self.let_pass(waiting[pick % len(waiting)])

    @precondition(lambda self: self.model.locks)
    @rule(pick=PICK)
    def lock_runs_out(self, pick: int) -> None:
        lock = sorted(self.model.locks)[pick % len(self.model.locks)]
        self.world.redis.delete(lock)
        del self.model.locks[lock]
