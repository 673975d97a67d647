"""What is stored about a pause, and the error that a refused producer gets."""

from datetime import UTC, datetime

import pytest

from rota.errors import BrokerError, EnqueueError
from rota.wire import pause
from rota.wire.pause import Pauses, Stop

SINCE = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def refusal(kind: pause.Kind, by: str = "anna@web1", reason: str = "migration") -> str:
    return f"{pause.REFUSAL_CODE} 1700000000.000000 {pause.record('mail', kind, by, reason)}"


@pytest.mark.parametrize(
    ("kind", "doing"),
    [("pause", "is paused for producers"), ("drain", "is being drained"), ("delete", "is being deleted")],
)
def test_refusal_says_what_why_and_what_to_do(kind: pause.Kind, doing: str) -> None:
    error = pause.read_refusal(refusal(kind))
    assert f"Queue 'mail' took no task: it {doing} since 2023-11-14 22:13:20 UTC by anna@web1 (migration)." in str(
        error
    )
    assert "rota queue" in str(error)
    assert (error.queue, error.kind, error.by, error.reason, error.since) == (
        "mail",
        kind,
        "anna@web1",
        "migration",
        SINCE,
    )
    assert isinstance(error, EnqueueError)
    assert isinstance(error, BrokerError)


def test_refusal_without_a_reason_leaves_it_out() -> None:
    assert str(pause.read_refusal(refusal("pause", by="", reason=""))).startswith(
        "Queue 'mail' took no task: it is paused for producers since 2023-11-14 22:13:20 UTC. Enqueue again later"
    )


def test_refusal_with_a_record_that_was_written_by_hand_is_read_too() -> None:
    error = pause.read_refusal(f"{pause.REFUSAL_CODE} soon not JSON")
    assert (error.queue, error.kind, error.by, error.since) == ("", "pause", "", None)


def test_record_is_ascii_and_bounded() -> None:
    stored = pause.record("mail", "pause", "安娜" * 900, "\n" * 900 + "理由" * 900)
    assert stored.isascii()
    assert "\n" not in stored
    assert len(stored) < 20_000


def test_pause_of_workers_counts_only_with_the_value_of_the_key_it_was_made_with() -> None:
    stored = pause.record("mail", "pause", "anna", "why").encode()
    row = [b"1700000000", stored, b"1700000005", b"1700000000", None, None, None]
    assert pause.read(row) == Pauses(Stop("pause", "anna", "why", SINCE), None)
    row[0] = b"1700000009"  # a Go program has resumed the queue, and paused it again
    again = pause.read(row)
    assert again.workers is not None
    assert (again.workers.by, again.workers.since) == ("", datetime(2023, 11, 14, 22, 13, 29, tzinfo=UTC))
    row[0] = None
    assert pause.read(row) == Pauses(None, None)


def test_pause_for_both_ends_for_producers_when_the_key_of_workers_is_gone() -> None:
    stored = pause.record("mail", "pause", "anna", "why").encode()
    row = [b"1700000000", stored, b"1700000000", b"1700000000", stored, b"1700000000", b"1700000000"]
    assert pause.read(row).producers == Stop("pause", "anna", "why", SINCE)
    row[0] = None
    assert pause.read(row).producers is None


def test_pause_by_hand_with_any_value_is_a_pause() -> None:
    found = pause.read([b"yes", None, None, None, None, None, None])
    assert found.workers == Stop()
