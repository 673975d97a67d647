"""Rules: tasks are changed by hand, and cleaned up."""

import time
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.wire import aside, edit
from rota.wire.aside import TakenTask
from rota.wire.keys import QueueKeys, unique_key
from rota.wire.message import unpack
from rota.wire.sweep import clean
from tests.model.queue.task import FAR
from tests.model.rules.machine import PAYLOADS, PICK, SLACK, Machine


class Changes(Machine):
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.cancel(task_id)
        call = edit.one(edit.cancel(self.keys, [task_id], "enough"))
        assert self.send(call, "ended" if expected == "done" else expected).reply == expected

    @rule(pick=PICK)
    def run_now(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.run_now(task_id)
        call = edit.one(edit.run_now(self.keys, [task_id]))
        assert self.send(call, "same" if expected == "done" else expected).reply == expected

    @rule(pick=PICK, far=st.booleans())
    def reschedule(self, pick: int, far: bool) -> None:
        task_id, at = self.any_id(pick), FAR if far else self.world.past()
        call = edit.one(edit.set_time(self.keys, [task_id], str(at)))
        assert self.send(call).reply == self.model.reschedule(task_id, at)

    @rule(pick=PICK)
    def delete(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.delete(task_id)
        call = edit.one(edit.delete(self.keys, [task_id]))
        assert self.send(call, "gone" if expected == "done" else expected).reply == expected

    @rule(pick=PICK)
    def archive_by_hand(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.archive_by_hand(task_id)
        call = edit.one(edit.archive(self.keys, [task_id]))
        assert self.send(call, "same" if expected == "done" else expected).reply == expected

    @rule(pick=PICK)
    def requeue(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.requeue(task_id)
        call = edit.one(edit.requeue(self.keys, [task_id], slack=SLACK))
        cancelled = expected == "done" and self.model.tasks[task_id].state == "archived"
        assert self.send(call, "state" if cancelled else "same" if expected == "done" else expected).reply == expected

    @precondition(lambda self: self.model.locks)
    @rule(pick=PICK, force=st.booleans(), changed=st.booleans())
    def free_lock(self, pick: int, force: bool, changed: bool) -> None:
        """Also one that another task has taken since it was read."""
        lock = sorted(self.model.locks)[pick % len(self.model.locks)]
        holder = "another" if changed else self.model.locks[lock]
        expected = "changed" if changed else self.model.free_lock(lock, force=force)
        call = edit.unlock(self.keys, lock, holder.encode(), force=force)
        assert self.send(call, "gone" if expected == "done" else expected).reply == expected

    @rule(pick=PICK, force=st.booleans())
    def free_lock_of(self, pick: int, force: bool) -> None:
        task_id = self.any_id(pick)
        expected = self.model.free_lock_of(task_id, force=force)
        call = edit.one(edit.free_locks(self.keys, [task_id], force=force))
        assert self.send(call, "same" if expected == "done" else expected).reply == expected

    @rule(picks=st.lists(PICK, min_size=1, max_size=5), act=st.sampled_from(["run_now", "delete", "archive", "cancel"]))
    def change_many(self, picks: list[int], act: str) -> None:
        """Several tasks in one call, one of them perhaps twice."""
        ids = [self.any_id(pick) for pick in picks]
        words = ("enough",) if act == "cancel" else ()
        call = getattr(edit, act)(self.keys, ids, *words)
        expected = [getattr(self.model, "archive_by_hand" if act == "archive" else act)(task_id) for task_id in ids]
        assert [edited.reply for edited in self.run(call)] == expected

    @precondition(lambda self: not self.model.refused)
    @rule(pick=PICK)
    def move_at_once_there_and_back(self, pick: int) -> None:
        task_id, other = self.any_id(pick), self.world.broker.keys.queue("r")
        expected = self.model.put_elsewhere(task_id, first=False)
        state = self.model.tasks[task_id].state if expected == "done" else ""
        [moved] = self.run(edit.move(self.keys, other, [task_id]))
        assert moved.reply == expected
        if expected == "done":
            assert self.run(edit.move(self.keys, other, [task_id])) == [("gone", state, task_id)]
            assert self.run(edit.move(other, self.keys, [task_id])) == [("done", state, task_id)]

    @precondition(lambda self: not self.model.refused)
    @rule(pick=PICK)
    def move_there_and_back(self, pick: int) -> None:
        task_id, other = self.any_id(pick), self.world.broker.keys.queue("r")
        expected = self.model.put_elsewhere(task_id, first=False)
        assert self.carried(self.keys, other, task_id) == expected
        if expected == "done":
            assert self.carried(other, self.keys, task_id) == "done"

    def carried(self, source: QueueKeys, target: QueueKeys, task_id: str) -> str:
        """Move a task. The reply to each step is lost at first."""
        take = aside.take(source, [task_id], to=target.queue, mark=f"m{self.number()}", note="on its way")
        [taken], [again] = self.run(take), self.run(take)
        if not isinstance(taken, TakenTask):
            return taken.reply
        assert (again.mark, again.state, again.score, again.fields) == (
            taken.mark,
            taken.state,
            taken.score,
            taken.fields,
        )
        put = aside.put(target, [taken.renamed(source, target)])
        assert [self.run(put)[0].reply for _ in range(2)] == ["done", "same"]
        drop = aside.drop(source, [taken])
        assert [self.run(drop)[0].reply for _ in range(2)] == ["done", "gone"]
        key = f"{target.own('put:')}{taken.batch}"
        assert self.world.redis.ttl(key) > aside.MARK_SETTLED.total_seconds()
        self.run(aside.settle(target, [taken.batch]))
        assert 0 < self.world.redis.ttl(key) <= aside.MARK_SETTLED.total_seconds()
        assert self.world.redis.delete(key) == 1
        return "done"

    @precondition(lambda self: not self.model.refused)
    @rule(pick=PICK)
    def delete_and_undo(self, pick: int) -> None:
        """As with a store: the bytes of the task are kept, the task is deleted, and then it is put back."""
        task_id = self.any_id(pick)
        expected = self.model.put_elsewhere(task_id, first=False)
        [taken] = self.run(aside.take(self.keys, [task_id], to="", mark=f"m{self.number()}", note="going"))
        if not isinstance(taken, TakenTask):
            assert taken.reply == expected
            return
        drop = aside.drop(self.keys, [taken])
        assert [self.run(drop)[0].reply for _ in range(2)] == ["done", "gone"]
        assert not self.world.redis.exists(self.keys.task(task_id))
        put = aside.put(self.keys, [taken])
        assert [self.run(put)[0].reply for _ in range(2)] == ["done", "same"]
        assert self.world.redis.delete(f"{self.keys.own('put:')}{taken.batch}") == 1

    @rule(pick=PICK)
    def take_aside_and_put_back(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.put_elsewhere(task_id, first=True)
        [taken] = self.run(aside.take(self.keys, [task_id], to="", mark=f"m{self.number()}", note="going"))
        if not isinstance(taken, TakenTask):
            assert taken.reply == expected
            return
        assert (taken.state, self.world.redis.hget(self.keys.task(task_id), "state")) == (
            expected and taken.state,
            b"archived",
        )
        drop = aside.drop(self.keys, [taken], put_back=True)
        assert [self.run(drop)[0].reply for _ in range(2)] == [expected, "changed"]

    @rule(pick=PICK, payload=PAYLOADS)
    def update_payload(self, pick: int, payload: bytes) -> None:
        task_id = self.any_id(pick)
        message = self.world.message(task_id)
        old = unpack(message)
        moves = old.unique_key == unique_key(self.keys, "t", old.payload)
        lock = unique_key(self.keys, "t", payload) if moves else old.unique_key
        expected = self.model.update_payload(task_id, payload, lock)
        call = edit.update_payload(self.keys, task_id, message, payload)
        assert self.send(call, "same" if expected == "done" else expected).reply == expected

    @rule(pick=PICK, payload=PAYLOADS)
    def edit_and_run(self, pick: int, payload: bytes) -> None:
        task_id = self.any_id(pick)
        new = edit.new_message(self.keys, task_id, self.world.message(task_id), payload)
        expected = self.model.edit_and_run(task_id, payload, new.new_lock)
        call = edit.one(edit.replace_messages(self.keys, [new], run=True))
        assert self.send(call, "same" if expected == "done" else expected).reply == expected

    @precondition(lambda self: self.model.ids("archived", "completed"))
    @rule(size=st.integers(0, 3))
    def clean(self, size: int) -> None:
        over = [task.id for task in self.model.due("completed")]
        archived = self.model.ids("archived")
        for i, task_id in enumerate(archived):  # not the real second: a run must be the same at any time
            self.world.move("archived", task_id, time.time() - 1000 + i)
        trimmed = archived[: max(0, len(archived) - size)]
        cleaned = self.run(clean(self.keys, limit=100, archive_size=size, archive_age=timedelta(days=90)))
        assert (cleaned.expired, cleaned.trimmed, cleaned.more) == (len(over), len(trimmed), False)
        self.model.clean(over, trimmed)
