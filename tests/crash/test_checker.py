"""The checker itself: every kind of loss, double and leftover is planted once, and has to be found."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.crash import keyspace
from tests.crash.checker import Verdict, check
from tests.crash.ledger import Ledger
from tests.servers.process import Server


class Plant:
    """A ledger and a database in which all is well, to be spoiled."""

    def __init__(self, folder: Path, url: str) -> None:
        self.ledger = Ledger(folder)
        self.write = self.ledger.writer()
        self.redis = redis.Redis.from_url(url)
        self.now = time.monotonic()

    def line(self, what: str, at: float, **more: object) -> None:
        self.write(what, **{"at": self.now + at, **more})

    def accepted(self, *tasks: str) -> None:
        for task in tasks:
            self.line("accepted", 0, task=task, queue="q")

    def run(self, task: str, start: float, end: float | None, pid: int = 1, how: str = "ok", retried: int = 0) -> None:
        run = f"{task}{start}{pid}"
        self.line("start", start, task=task, run=run, pid=pid, retried=retried)
        if end is not None:
            self.line("end", end, task=task, run=run, pid=pid, how=how)

    def store(self, task: str, state: str, place: str | None = None, **fields: str | bytes) -> None:
        self.redis.hset(f"asynq:{{q}}:t:{task}", mapping={"state": state, "msg": b"\n\x01t", **fields})
        key = f"asynq:{{q}}:{place or state}"
        if state in ("pending", "active"):
            self.redis.lpush(key, task)
        else:
            self.redis.zadd(key, {task: 1})
        if state == "active":
            self.redis.zadd("asynq:{q}:lease", {task: 1})

    def count(self, **counters: int) -> None:
        for name, value in counters.items():
            self.redis.set(f"asynq:{{q}}:{name}", value)

    def check(self) -> Verdict:
        return check(self.ledger.read(), keyspace.read(self.redis))


@pytest.fixture
def plant(tmp_path: Path, redis_server: Server, redis_url: str) -> Iterator[Plant]:
    plant = Plant(tmp_path / "ledger", redis_url)
    plant.accepted("done", "waits", "failed")
    plant.run("done", 1, 2)
    plant.run("failed", 1, 2, how="fail")
    plant.store("waits", "pending")
    plant.store("failed", "archived")
    plant.count(processed=2, failed=1)
    yield plant
    plant.redis.close()
    plant.write.close()


def test_a_clean_history_is_clean(plant: Plant) -> None:
    verdict = plant.check()
    assert verdict.faults == []
    assert (verdict.accepted, verdict.done, verdict.archived, verdict.queued) == (3, 1, 1, 1)
    assert verdict.line("all", 1.23).startswith(
        "ok   all: accepted 3 = done 1 + archived 1 + queued 1; lost 0, doubled 0"
    )


def test_a_lost_task_is_found(plant: Plant) -> None:
    plant.accepted("lost")
    assert plant.check().lost == ["lost"]


def test_a_task_that_only_failed_and_is_gone_is_lost(plant: Plant) -> None:
    plant.accepted("lost")
    plant.run("lost", 1, 2, how="fail")
    assert plant.check().lost == ["lost"]


def test_a_task_whose_worker_died_and_that_is_gone_is_lost(plant: Plant) -> None:
    plant.accepted("lost")
    plant.run("lost", 1, None, pid=9)
    plant.line("death", 2, pid=9)
    assert plant.check().lost == ["lost"]


def test_a_removed_task_is_not_lost(plant: Plant) -> None:
    plant.accepted("removed")
    plant.line("removed", 1, task="removed")
    verdict = plant.check()
    assert (verdict.faults, verdict.accepted) == ([], 3)


def test_a_task_nobody_accepted_is_found_in_runs_and_in_redis(plant: Plant) -> None:
    plant.run("ghost", 1, 2, how="fail")
    plant.store("stray", "pending")
    assert plant.check().faults == ["ghost ran and was never accepted", "stray is stored and was never accepted"]


def test_a_task_of_a_producer_without_an_answer_may_be_there_or_not(plant: Plant) -> None:
    for task in ("there", "not"):
        plant.line("unsure", 0, task=task, queue="q")
    plant.store("there", "pending")
    verdict = plant.check()
    assert (verdict.faults, verdict.accepted) == ([], 4)


def test_a_task_is_lost_also_if_its_producer_waited_for_the_answer_before(plant: Plant) -> None:
    for what in ("unsure", "accepted"):
        plant.line(what, 0, task="lost", queue="q")
    assert plant.check().lost == ["lost"]


def test_overlapping_runs_are_doubled(plant: Plant) -> None:
    plant.accepted("twice")
    plant.run("twice", 1, 3, how="fail")
    plant.run("twice", 2, 4, pid=2, retried=0)
    plant.count(processed=3)
    assert plant.check().doubled == ["twice"]


def test_a_run_after_a_good_end_is_doubled(plant: Plant) -> None:
    plant.accepted("twice")
    plant.run("twice", 1, 2)
    plant.run("twice", 3, 4)
    plant.count(processed=3)
    assert plant.check().doubled == ["twice"]


def test_a_run_after_the_death_of_the_first_is_no_double(plant: Plant) -> None:
    plant.accepted("dead", "unrecorded")
    plant.run("dead", 1, None, pid=9)
    plant.run("unrecorded", 1, 2, pid=9)
    plant.line("death", 3, pid=9)
    for task in ("dead", "unrecorded"):
        plant.run(task, 4, 5, pid=2)
    plant.count(processed=4)
    verdict = plant.check()
    assert (verdict.faults, verdict.again, verdict.died) == ([], 1, 1)


def test_a_run_before_the_death_of_the_first_is_a_double(plant: Plant) -> None:
    plant.accepted("dead")
    plant.run("dead", 1, None, pid=9)
    plant.run("dead", 2, 5, pid=2)
    plant.line("death", 3, pid=9)
    plant.count(processed=3)
    assert plant.check().doubled == ["dead"]


@pytest.mark.parametrize(("frozen", "doubled"), [(8, []), (2, ["slow"])], ids=["long", "short"])
def test_only_a_process_that_was_frozen_beyond_its_lease_is_an_excuse(
    plant: Plant, frozen: float, doubled: list[str]
) -> None:
    plant.accepted("slow")
    plant.run("slow", 1, 12, how="cancelled")
    plant.line("freeze", 2, pid=1)
    plant.line("thaw", 2 + frozen, pid=1)
    plant.run("slow", 9, 11, pid=2)
    plant.count(processed=3)
    assert plant.check().doubled == doubled


def test_a_run_without_an_end_in_a_process_that_lives_is_found(plant: Plant) -> None:
    plant.accepted("hangs")
    plant.run("hangs", 1, None, pid=7)
    plant.store("hangs", "active")
    assert plant.check().faults == ["hangs: a run in process 7 has no end, and the process lives"]


def test_what_the_server_forgot_is_counted_as_forgotten_only_if_nothing_ran_later(plant: Plant) -> None:
    plant.accepted("forgotten", "lost")
    plant.line("amnesia", 5)
    plant.run("lost", 6, 7, how="fail")
    verdict = plant.check()
    assert (verdict.forgotten, verdict.lost) == (1, ["lost"])


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
        (lambda r: r.zadd("asynq:{q}:aggregation_sets", {"asynq:{q}:g:a:1": 1}), "still lists a set"),
        (lambda r: r.set("asynq:{q}:processed", 3), "processed is 3, the runs and tasks make 2"),
        (lambda r: r.set("asynq:{q}:failed", 0), "failed is 0, the runs and tasks make 1"),
        (lambda r: r.hset("asynq:{q}:t:waits", "rota_crashes", 2), "crashed is 0, the tasks make at least 2"),
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
    plant.store("later", "retry", msg=b"\n\x01t\x30\x01\x30\x02")  # retried twice: the last one counts
    plant.count(processed=6, failed=4)
    assert plant.check().faults == []


def test_a_line_cut_short_by_a_crash_is_void(plant: Plant, tmp_path: Path) -> None:
    with (tmp_path / "ledger" / "runs-9.log").open("w") as file:
        file.write('{"what": "accepted", "at": 1.0, "task": "ha')
    assert plant.check().faults == []
