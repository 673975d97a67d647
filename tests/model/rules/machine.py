"""What all rules need: the two worlds, a choice of tasks and attempts, and requests that are sent twice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from rota.errors import QueuePaused
from rota.wire.keys import QueueKeys, own_unique_key, unique_key
from rota.wire.recover import Slack
from rota.wire.script import Call
from tests.model.queue.queue import Queue
from tests.model.queue.task import Task
from tests.model.world import World

MAX_CRASHES = 2
SLACK = Slack(timedelta(seconds=5), timedelta(seconds=30))
GROUPS = ("g", "g:h")
CHOSEN = ("a", "b", "c")
PAYLOADS = st.sampled_from([b"1", b"2", b"3"])
PICK = st.integers(0, 30)
PAGE = st.sampled_from([1, 2, 500])


class Machine(RuleBasedStateMachine):
    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.redis.flushdb()
        self.keys: QueueKeys = self.world.keys
        self.model = Queue()
        self.numbers = 0
        self.tokens: list[tuple[str, str]] = []
        """Each attempt that there ever was."""
        self.sent: list[tuple[Call[Any], Callable[[], Any]]] = []
        """Each enqueue that there ever was, and what the model makes of it."""

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def any_id(self, pick: int) -> str:
        known = [*sorted(self.model.tasks), "nobody"]
        return known[pick % len(known)]

    def task(self, task_id: str) -> Task | None:
        return self.model.tasks.get(task_id)

    def lock_of(self, payload: bytes, own_key: bool) -> str:
        return own_unique_key(self.keys, "t", "k") if own_key else unique_key(self.keys, "t", payload)

    def run(self, call: Any) -> Any:
        return self.world.broker.run(call)

    def send(self, call: Call[Any], again: str | None = None) -> Any:
        """Send a request as a client does, and again because the reply was lost: nothing more is done.

        `again` is what the second sending of a change replies; an enqueue gets the same reply again.
        """
        reply = self.run(call)
        second = self.run(call)
        assert second == reply if again is None else second.reply == again
        return reply

    def enqueues(self, call: Call[Any], made: Callable[[], Any]) -> None:
        """Send an enqueue. `made` does the same in the model, and returns the reply."""
        if self.is_refused(call):
            return
        assert self.send(call) == made()
        self.sent.append((call, made))

    def is_refused(self, call: Call[Any]) -> bool:
        """Whether the queue refuses producers. Then the enqueue is refused and writes nothing."""
        if self.model.refuses():
            with pytest.raises(QueuePaused):
                self.run(call)
        return self.model.refused

    def let_pass(self, task_id: str) -> None:
        """Let the time come at which a task is due."""
        task = self.model.tasks[task_id]
        if task.state in ("scheduled", "retry", "completed"):
            task.at = self.world.past()
            self.world.move(task.state, task_id, task.at)

    @invariant()
    def redis_is_as_the_model_says(self) -> None:
        self.world.compare(self.model)
        self.world.wait_for_another_millisecond()
