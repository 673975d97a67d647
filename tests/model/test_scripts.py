"""The scripts against a model, by hypothesis: any sequence leaves what the model says, and nothing else."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.model.conftest import TIMEOUT_SECONDS, Look
from tests.model.rules.adding import Adding
from tests.model.rules.attempts import Attempts
from tests.model.rules.changes import Changes
from tests.model.rules.groups import Groups
from tests.model.rules.pauses import Pauses
from tests.model.rules.supervisor import Supervisor
from tests.model.rules.sweep import Sweeps

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS)


class Workers(Adding, Attempts, Changes, Pauses, Supervisor, Sweeps):
    """Workers of ours and their supervisors."""

    @initialize(wanted=st.integers(0, 4))
    def begin(self, wanted: int) -> None:
        for payload, task_id, scope in ((b"1", "a", "running"), (b"2", "b", "ttl"), (b"3", "c", "queued")):
            self.enqueue(payload, task_id, False, "", scope, False, "return")
        self.enqueue_plain(b"1", 2)
        if wanted:
            self.fetch(wanted, "w1")


class Aggregators(Groups, Changes, Pauses, Sweeps):
    """Aggregators of ours, and whoever changes tasks meanwhile."""

    @initialize(scope=st.sampled_from(["ttl", "queued", "running"]), size=st.integers(1, 3))
    def begin(self, scope: str, size: int) -> None:
        for payload, task_id in ((b"1", "a"), (b"2", "b"), (b"3", "c")):
            self.enqueue(payload, task_id, False, "g", scope, False, "return")
        self.take(0, "enough", size)


def test_any_sequence_of_a_workers_operations_leaves_what_the_model_says(look_for_a_difference: Look) -> None:
    look_for_a_difference(Workers, 60)


def test_any_sequence_of_an_aggregators_operations_leaves_what_the_model_says(look_for_a_difference: Look) -> None:
    look_for_a_difference(Aggregators, 90)
