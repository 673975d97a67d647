"""Rules: tasks are changed by hand, and cleaned up."""

import time
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rota.wire import edit
from rota.wire.keys import unique_key
from rota.wire.message import unpack
from rota.wire.sweep import clean
from tests.model.queue.task import FAR
from tests.model.rules.machine import PAYLOADS, PICK, Machine


class Changes(Machine):
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.cancel(task_id)
        call = edit.cancel(self.keys, task_id, "enough")
        assert self.send(call, "ended" if expected == "done" else expected).reply == expected

    @rule(pick=PICK)
    def run_now(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.run_now(task_id)
        assert self.send(edit.run_now(self.keys, task_id), "same" if expected == "done" else expected).reply == expected

    @rule(pick=PICK, far=st.booleans())
    def reschedule(self, pick: int, far: bool) -> None:
        task_id, at = self.any_id(pick), FAR if far else self.world.past()
        assert self.send(edit.reschedule(self.keys, task_id, str(at))).reply == self.model.reschedule(task_id, at)

    @rule(pick=PICK)
    def delete(self, pick: int) -> None:
        task_id = self.any_id(pick)
        expected = self.model.delete(task_id)
        assert self.send(edit.delete(self.keys, task_id), "gone" if expected == "done" else expected).reply == expected

    @rule(pick=PICK, payload=PAYLOADS)
    def update_payload(self, pick: int, payload: bytes) -> None:
        task_id = self.any_id(pick)
        message = self.world.message(task_id)
        old = unpack(message)
        moves = old.unique_key == unique_key(self.keys, "t", old.payload)
        lock = unique_key(self.keys, "t", payload) if moves else old.unique_key
        expected = self.model.update_payload(task_id, payload, lock)
        call = edit.update_payload(self.keys, task_id, message, payload)
        edited = self.run(call)
        assert edited.reply == expected
        is_read_again = expected == "done" and self.world.message(task_id) != message
        assert self.run(call).reply == ("changed" if is_read_again else expected)

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
