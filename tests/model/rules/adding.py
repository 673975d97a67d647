"""Rules: tasks are added."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.wire.enqueue import Item, debounce, enqueue, enqueue_plain
from rota.wire.message import pack
from rota.wire.sweep import forward
from tests.model.queue.task import FAR, NOW, Reply, Task
from tests.model.rules.machine import CHOSEN, GROUPS, PAYLOADS, PICK, Machine

EXPLICIT = st.sampled_from(["", "", "timeout", "max_retry timeout"])


class Adding(Machine):
    @precondition(lambda self: len(self.model.pending) < 4)
    @rule(payload=PAYLOADS, number=st.integers(1, 3))
    def enqueue_plain(self, payload: bytes, number: int) -> None:
        ids = [f"m{self.number()}" for _ in range(number)]
        call = enqueue_plain(self.keys, [word for i in ids for word in (i, pack("t", payload, i, queue="q"))])

        def made() -> int:
            replies = [
                self.model.enqueue(Task(i, payload, mark=i), 0, "return") for i in ids if i not in self.model.tasks
            ]
            return len(replies)

        if self.is_refused(call):
            return
        assert self.run(call) == made()
        assert self.run(call) == 0
        self.sent.append((call, made))

    @rule(
        payload=PAYLOADS,
        chosen=st.sampled_from([None, *CHOSEN]),
        delayed=st.booleans(),
        group=st.sampled_from(["", "", *GROUPS]),
        scope=st.sampled_from([None, "ttl", "queued", "running"]),
        own_key=st.booleans(),
        on_conflict=st.sampled_from(["return", "replace"]),
        explicit=EXPLICIT,
    )
    def enqueue(
        self, payload: bytes, chosen: str | None, delayed: bool, group: str, scope: str | None, own_key: bool,
        on_conflict: str, explicit: str = "",
    ) -> None:  # fmt: skip
        task = replace(self.new_task(payload, chosen, group, scope, own_key), explicit=explicit)
        item = self.item(task, on_conflict, "+3600" if delayed else "")
        at = FAR if delayed else 0
        call = enqueue(self.keys, [item])
        self.enqueues(call, lambda: [self.model.enqueue(replace(task), at, on_conflict)])

    def new_task(self, payload: bytes, chosen: str | None, group: str, scope: str | None, own_key: bool) -> Task:
        lock = "" if scope is None else self.lock_of(payload, own_key)
        made = f"m{self.number()}"
        return Task(chosen or made, payload, lock=lock, scope=scope or "ttl", group=group, mark=made)

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
            mark=task.mark,
            explicit=task.explicit,
        )

    @rule(payload=PAYLOADS, own_key=st.booleans(), over=st.booleans(), explicit=EXPLICIT)
    def debounce(self, payload: bytes, own_key: bool, over: bool, explicit: str = "") -> None:
        """`over`: the longest wait is over, so the run is due at once."""
        lock = self.lock_of(payload, own_key)
        made = f"m{self.number()}"
        task = Task(made, payload, lock=lock, scope="queued", mark=made, explicit=explicit)
        message = pack("t", payload, task.id, queue="q", unique_key=lock)
        longest = 0 if over else None
        call = debounce(
            self.keys, task.id, message, lock=lock, wait_seconds=3600, max_wait_seconds=longest, explicit=explicit
        )

        def joined() -> Reply:
            reply = self.model.debounce(replace(task), FAR)
            if over and reply.state == "scheduled":
                self.let_pass(reply.id)
            return reply

        self.enqueues(call, joined)

    @precondition(lambda self: self.sent)
    @rule(pick=PICK)
    def a_request_comes_again_late(self, pick: int) -> None:
        """It adds nothing as long as its task is there. A task that is gone is added once more: at least once."""
        call, made = self.sent[-1 - pick % len(self.sent)]
        if self.is_refused(call):
            return
        assert self.run(call) == made()

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
