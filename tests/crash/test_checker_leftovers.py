"""The checker finds every leftover, every wrong counter, and every retry that nothing has cost."""

from pathlib import Path

import pytest

from tests.crash.plant import Plant, message


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda r: r.lpush("asynq:{q}:pending", "nobody"), "nobody is listed in ['pending'] of q and has no hash"),
        (lambda r: r.delete("asynq:{q}:pending"), "waits in state pending of q is listed in no place"),
        (lambda r: r.zadd("asynq:{q}:retry", {"waits": 1}), "waits in state pending of q is listed in"),
        (lambda r: r.rpush("asynq:{q}:pending", "waits"), "waits in state pending of q is listed in"),
        (lambda r: r.hset("asynq:{q}:t:waits", "state", "retry"), "waits says retry and is listed in pending of q"),
        (lambda r: r.zadd("asynq:{q}:lease", {"waits": 1}), "waits is pending and has a lease"),
        (lambda r: r.zadd("asynq:{q}:lease", {"nobody": 1}), "lease of nobody in q without a task"),
        (lambda r: r.set("asynq:{q}:unique:t:1", "nobody"), "lock asynq:{q}:unique:t:1 is held by nobody"),
        (lambda r: r.hset("asynq:{q}:t:done", "result", "x"), "done in state ? of q is listed in no place"),
        (lambda r: r.set("asynq:{q}:rubbish", 1), "unknown key asynq:{q}:rubbish"),
        (lambda r: r.set("rota:{q}:lock", 1), "unknown key rota:{q}:lock"),
        (lambda r: r.set("elsewhere", 1), "unknown key elsewhere"),
        (lambda r: r.set("asynq:servers:{h:1:a}", 1), "asynq:servers:{h:1:a} never expires"),
        (lambda r: r.set("rota:about:{h:1:a}", 1), "rota:about:{h:1:a} never expires"),
        (lambda r: r.zadd("asynq:{q}:aggregation_sets", {"asynq:{q}:g:a:1": 1}), "still lists a set"),
        (lambda r: r.set("asynq:{q}:processed", 3), "processed of q is 3, the runs and tasks make 2"),
        (lambda r: r.set("asynq:{q}:failed", 0), "failed of q is 0, the runs and tasks make 1"),
        (lambda r: r.hset("asynq:{q}:t:waits", "rota_crashes", 2), "crashed of q is 0, the tasks make at least 2"),
    ],
)  # fmt: skip
def test_a_planted_leftover_is_found(plant: Plant, spoil, fault: str) -> None:
    spoil(plant.redis)
    faults = plant.check().faults
    assert len(faults) >= 1
    assert fault in faults[0]


def test_an_active_task_without_a_lease_is_found(plant: Plant) -> None:
    plant.accepted("held")
    plant.store("held", "active")
    plant.redis.delete("asynq:{q}:lease")
    assert plant.check().faults == ["held is active and has no lease"]


def test_retries_are_read_from_the_message_and_the_last_run(plant: Plant) -> None:
    plant.accepted("again", "later")
    plant.run("again", 1, 2, how="fail")
    plant.run("again", 3, 4, retried=1)
    plant.run("later", 1, 2, how="fail")
    plant.run("later", 3, 4, how="timeout", retried=1)
    plant.store("later", "retry", msg=message(retried=1) + b"\x30\x02")  # retried twice: the last one counts
    plant.count(processed=6, failed=4)
    assert plant.check().faults == []


def _failed_once_and_ran_again(plant: Plant, retried: int, first: str = "fail") -> None:
    plant.accepted("again")
    plant.run("again", 1, 2, how=first, pid=9)
    plant.run("again", 3, 4, retried=retried)


@pytest.mark.parametrize(
    ("first", "retried", "failures"), [("cancelled", 1, 0), ("fail", 2, 1), ("fail", 0, 1), ("timeout", 0, 1)]
)
def test_a_retry_that_no_failure_has_cost_is_found_and_a_failure_that_cost_none(
    plant: Plant, first: str, retried: int, failures: int
) -> None:
    _failed_once_and_ran_again(plant, retried, first)
    [fault] = plant.check(counters=False).faults
    assert (
        fault == f"run 2 of again was told of {retried} retries, and {failures} runs had failed ({failures} for sure)"
    )
    plant.line("go", 0, pid=77)
    assert plant.check(counters=False).faults == []  # Go's rules


def test_a_retry_spent_by_a_death_is_found_in_what_is_stored(plant: Plant) -> None:
    plant.accepted("spent")
    plant.run("spent", 1, None, pid=9)
    plant.line("death", 2, pid=9)
    plant.store("spent", "retry", msg=message(retried=1))
    assert plant.check(counters=False).faults == [
        "spent (retry) was told of 1 retries, and 0 runs had failed (0 for sure)"
    ]


def test_a_failure_whose_process_died_or_was_frozen_may_not_have_been_recorded(plant: Plant) -> None:
    _failed_once_and_ran_again(plant, retried=0)
    plant.line("death", 2.5, pid=9)
    assert plant.check(counters=False).faults == []


def test_counters_of_one_queue_do_not_make_up_for_those_of_another(plant: Plant) -> None:
    plant.redis.set("asynq:{q}:processed", 1)
    plant.redis.set("asynq:{r}:processed", 1)
    assert plant.check().faults == [
        "processed of q is 1, the runs and tasks make 2",
        "processed of r is 1, the runs and tasks make 0",
    ]


def test_a_line_cut_short_by_a_crash_is_void(plant: Plant, tmp_path: Path) -> None:
    with (tmp_path / "ledger" / "runs-9.log").open("w") as file:
        file.write('{"what": "accepted", "at": 1.0, "task": "ha')
    assert plant.check().faults == []
