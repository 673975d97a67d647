"""The memory of a schedule survives the text in which it is stored."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.schedule.due import ScheduleState
from rota.scheduler.memory import OpenRun, OrderedPause, ScheduleMemory, SkipRow, WaitingRun, read_memory
from rota.scheduler.run_batch import unix_ms
from rota.wire.scheduler_steps import StoredState

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_memory_is_read_as_it_was_written() -> None:
    state = ScheduleState(
        since=NOW,
        timing="t",
        last=NOW + SECOND,
        runs=3,
        is_open=True,
        ended_at=NOW,
        skips=frozenset({NOW + 9 * SECOND}),
    )
    memory = ScheduleMemory(
        state,
        open=[OpenRun("r", "q", ("r",), NOW)],
        waiting=[WaitingRun(NOW + SECOND, "catch_up")],
        pause=OrderedPause(NOW + 5 * SECOND, "why", "anna"),
        failures=2,
        orders=("m1",),
        skip_row=SkipRow(NOW, NOW + SECOND, 2, "overlap", "run r is pending", written=NOW),
    )

    found = read_memory(StoredState(unix_ms(NOW + SECOND), memory.text()))

    memory.stored = memory.text()
    assert found == memory


def test_new_leader_goes_on_with_a_row_of_skips_that_is_not_written_to_its_end() -> None:
    memory = ScheduleMemory(
        ScheduleState(since=NOW), skip_row=SkipRow(NOW, NOW + SECOND, 2, "paused", "", written=None)
    )

    assert read_memory(StoredState(0, memory.text())).skip_row == memory.skip_row


@pytest.mark.parametrize("text", ["", "x", "[]", '{"since":1}', '{"since":1,"timing":"t","skipped":[1]}'])
def test_text_that_is_not_a_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_memory(StoredState(0, text))
