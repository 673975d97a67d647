"""Workers of ours and Go servers on one queue, against the model: no attempt of ours touches what Go has taken."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.model.conftest import TIMEOUT_SECONDS, Look
from tests.model.rules.attempts import Attempts
from tests.model.rules.changes import Changes
from tests.model.rules.go import Go
from tests.model.rules.groups import Groups
from tests.model.rules.pauses import Pauses
from tests.model.rules.supervisor import Supervisor
from tests.model.rules.sweep import Sweeps

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS)


class Fleet(Groups, Attempts, Changes, Pauses, Supervisor, Sweeps, Go):
    """Everybody."""

    @initialize(scope=st.sampled_from([None, "ttl", "queued", "running"]))
    def begin(self, scope: str | None) -> None:
        """Of three tasks that we have had, one runs here, one ran out of its lease, and one runs in Go's server."""
        for payload, task_id in ((b"1", "a"), (b"2", "b"), (b"3", "c")):
            self.enqueue(payload, task_id, False, "", scope, False, "return")
        self.enqueue_plain(b"1", 2)
        self.fetch(3, "w1")
        self.lease_runs_out(0)
        self.record([1], "live", "requeue", far=True, counts=False, begun=True)
        self.go_takes_one()


def test_any_sequence_of_operations_of_a_mixed_fleet_leaves_what_the_model_says(look_for_a_difference: Look) -> None:
    look_for_a_difference(Fleet, 60)
