"""The sweep against a model: whatever is broken in whatever state is repaired, counted, and nothing else is touched."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.model.conftest import TIMEOUT_SECONDS, Look
from tests.model.rules.changes import Changes
from tests.model.rules.damage import Damage
from tests.model.rules.go import Go

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS)


class Damaged(Damage, Changes, Go):
    @initialize(scope=st.sampled_from([None, "ttl", "queued", "running"]), group=st.sampled_from(["g", "g:h"]))
    def begin(self, scope: str | None, group: str) -> None:
        """Some of each state."""
        for payload, task_id in ((b"1", "a"), (b"2", "b"), (b"3", "c")):
            self.enqueue(payload, task_id, False, group, scope, False, "return")
        self.take(0, "enough", 2)
        for _ in range(2):
            self.enqueue_plain(b"1", 3)
        self.fetch(4, "w1")
        for kind in ("retry", "archive", "complete"):
            self.record([0], "live", kind, far=True, counts=True, begun=True)
        self.go_takes_one()
        self.enqueue(b"1", None, True, "", None, False, "return")


def test_any_damage_to_any_state_is_repaired_and_nothing_else_is_touched(look_for_a_difference: Look) -> None:
    look_for_a_difference(Damaged, 30, 30)
