"""What a batch of outcomes adds to the counts of its minute."""

from typing import Any

from rota.wire.keys import QueueKeys
from rota.wire.minute import BOUNDS
from rota.wire.outcome import Outcome
from rota.worker.run.attempt import Attempt
from rota.worker.run.outcome_counts import counts_of

QUEUE = QueueKeys("q")


def attempt(type: str = "t", *, waited_us: int = -1, ran: float = -1.0, begun: bool = True) -> Attempt:
    made = Attempt(QUEUE, "w-1", "id", b"", 1e12, waited_us)
    made.type, made.ran_seconds, made.begun = type, ran, begun
    return made


def outcome(kind: Any, **words: Any) -> Outcome:
    return Outcome("id", "w-1", kind, **words)


def read(words: list[Any]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, number in zip(words[::2], words[1::2], strict=True):
        count, _, type = name.partition(":")
        found.setdefault(type, {})[count] = number
    return found


def test_plain_successes_of_one_type_are_counted_with_their_times() -> None:
    batch = [(attempt(waited_us=90, ran=BOUNDS[3]), None), (attempt(waited_us=99, ran=BOUNDS[3] * 1.01), None)]
    assert read(counts_of(batch)) == {"t": {"n": 2, "succeeded": 2, "w0": 2, "r3": 1, "r4": 1}}


def test_plain_successes_of_several_types_are_apart() -> None:
    batch = [(attempt("a", ran=0.0), None), (attempt("b"), None), (attempt("a"), None)]
    assert read(counts_of(batch)) == {"a": {"n": 2, "succeeded": 2, "r0": 1}, "b": {"n": 1, "succeeded": 1}}


def test_each_way_to_end_has_its_name_and_what_asynq_does_not_count_is_left_out() -> None:
    ends = [
        outcome("complete"),
        outcome("done", ending="revoked"),
        outcome("retry"),
        outcome("retry", counts=False),
        outcome("archive"),
        outcome("archive", ending="expired"),
        outcome("archive", ending="cancelled"),
        outcome("requeue"),
        outcome("postpone"),
    ]
    found = read(counts_of([(attempt(), each) for each in ends]))
    assert found == {"t": {"n": 6, "succeeded": 2, "retried": 1, "failed": 2, "cancelled": 1}}


def test_attempt_whose_function_was_not_called_has_no_times() -> None:
    batch = [(attempt("", waited_us=5, ran=1.0, begun=False), outcome("archive"))]
    assert read(counts_of(batch)) == {"": {"n": 1, "failed": 1}}


def test_batch_without_a_counted_outcome_adds_nothing() -> None:
    assert counts_of([(attempt(), outcome("requeue"))]) == []
