"""Runs: their IDs, and that a record reads back the same."""

from datetime import UTC, datetime, timedelta, timezone

from rota.core.randomness import uuid7
from rota.schedule.run import RunAttempt, ScheduleRun, manual_run_id, run_id, run_task_ids

AT = datetime(2026, 3, 1, 2, 30, 0, 123_000, tzinfo=UTC)


def test_run_id_is_made_from_the_schedule_and_the_instant() -> None:
    assert run_id("s", AT) == "s-1772332200123"
    assert run_id("s", AT.astimezone(timezone(timedelta(hours=8)))) == run_id("s", AT)
    assert run_id("s", AT + timedelta(microseconds=999)) == run_id("s", AT)


def test_manual_runs_have_ids_of_their_own() -> None:
    first, second = manual_run_id("s"), manual_run_id("s")

    assert first.startswith("s-m")
    assert first != second


def test_run_has_one_task_or_one_for_each_shard() -> None:
    assert run_task_ids("r", None) == ("r",)
    assert run_task_ids("r", 3) == ("r-0", "r-1", "r-2")


def test_record_reads_back_the_same() -> None:
    run = ScheduleRun(
        id=run_id("s", AT),
        schedule_id="s",
        schedule_version=3,
        planned_at=AT,
        cause="catch_up",
        task_ids=("a", "b"),
        outcome="failed",
        result=b"\x00\xff{}",
        attempts=(RunAttempt(worker="host:1", started_at=AT, ended_at=AT, error="boom"),),
    )

    assert ScheduleRun.from_json(run.to_json()) == run
    assert run.is_over


def test_record_of_a_skip_holds_only_what_is_known() -> None:
    skipped = ScheduleRun(
        id="s-1",
        schedule_id="s",
        schedule_version=1,
        planned_at=AT,
        outcome="skipped",
        skip_reason="missed",
        skip_count=2,
    )

    assert ScheduleRun.from_json(skipped.to_json()) == skipped
    assert b"result" not in skipped.to_json()


def test_uuid7_has_its_version_and_sorts_by_time() -> None:
    ids = [uuid7() for _ in range(100)]

    assert {each.version for each in ids} == {7}
    assert {each.variant for each in ids} == {"specified in RFC 4122"}
    assert len(set(ids)) == 100
    assert [each.int >> 80 for each in ids] == sorted(each.int >> 80 for each in ids)
