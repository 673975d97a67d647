"""The rule against deaf workers: each excuse is planted once, and what no excuse covers has to be found."""

from collections import defaultdict

import pytest

from tests.crash.idleness import check_idleness
from tests.crash.ledger import Run
from tests.crash.plant import Plant


def found(plant: Plant) -> list[str]:
    """The tasks that waited beside a free slot."""
    history = plant.ledger.read()
    by_task: defaultdict[str, list[Run]] = defaultdict(list)
    for run in sorted(history.runs, key=lambda run: run.start):
        by_task[run.task].append(run)
    return [text.split()[0] for text in check_idleness(history, by_task)]


@pytest.fixture
def late(plant: Plant) -> Plant:
    """A task that arrives at 100 and starts at 105, in a worker that ran something at 90."""
    plant.ready()
    for task, at, start in (("before", 90, 90), ("late", 100, 105)):
        plant.line("accepted", at, task=task, queue="q")
        plant.run(task, start, start + 1)
    return plant


def test_a_task_that_waits_beside_a_free_slot_is_found(late: Plant) -> None:
    assert found(late) == ["late"]


def test_the_checker_applies_the_rule(late: Plant) -> None:
    late.count(processed=4, failed=1)
    [fault] = late.check().faults
    assert "late waited" in fault
    assert "for 5.0 s of it beside a free slot of worker 1" in fault


def test_a_task_that_starts_within_two_seconds_is_well(plant: Plant) -> None:
    plant.ready()
    plant.line("accepted", 100, task="soon", queue="q")
    plant.run("soon", 101.9, 103)
    assert found(plant) == []


def test_another_worker_that_could_have_taken_it_is_found(plant: Plant) -> None:
    plant.ready(pid=1)
    plant.ready(pid=2)
    plant.line("accepted", 100, task="late", queue="q")
    plant.run("late", 105, 106, pid=2)
    assert found(plant) == ["late"]


@pytest.mark.parametrize(
    "words", [{"queues": "other"}, {"types": "other"}, {"at": 104}], ids=["another queue", "another type", "not ready"]
)
def test_a_worker_that_could_not_take_it_is_not_to_blame(plant: Plant, words: dict[str, object]) -> None:
    plant.ready(**words)  # type: ignore[arg-type]
    plant.line("accepted", 100, task="late", queue="q")
    plant.run("late", 105, 106, pid=2)
    assert found(plant) == []


def test_a_full_worker_is_not_to_blame(plant: Plant) -> None:
    plant.ready(slots=1)
    plant.line("accepted", 90, task="long", queue="q")
    plant.line("accepted", 100, task="late", queue="q")
    plant.run("long", 90, 104)
    plant.run("late", 105, 106)
    assert found(plant) == []


def test_a_worker_with_one_slot_more_is_to_blame(plant: Plant) -> None:
    plant.ready(slots=2)
    plant.line("accepted", 90, task="long", queue="q")
    plant.line("accepted", 100, task="late", queue="q")
    plant.run("long", 90, 104)
    plant.run("late", 105, 106)
    assert found(plant) == ["late"]


def test_a_worker_that_works_through_a_long_queue_is_not_to_blame(plant: Plant) -> None:
    plant.ready(slots=2)
    for number in range(20):
        plant.line("accepted", 100, task=str(number), queue="q")
        plant.run(str(number), 100 + number, 100 + number + 0.5)
    assert found(plant) == []


def test_a_delayed_task_waits_from_its_due_time_on(plant: Plant) -> None:
    plant.ready()
    for task, start in (("on time", 151), ("late", 158)):
        plant.line("accepted", 100, task=task, queue="q")
        plant.line("due", 150, task=task)
        plant.run(task, start, start + 1)
    assert found(plant) == ["late"]


def test_a_retry_waits_from_the_failure_on(plant: Plant) -> None:
    plant.ready()
    plant.line("accepted", 100, task="again", queue="q")
    plant.run("again", 100, 110, how="fail")
    plant.run("again", 115, 116, retried=1)
    assert found(plant) == ["again"]


def test_a_run_after_a_death_waits_for_other_reasons(plant: Plant) -> None:
    plant.ready(pid=2)
    plant.line("accepted", 100, task="again", queue="q")
    plant.run("again", 100, None, pid=1)
    plant.line("death", 101, pid=1)
    plant.run("again", 115, 116, pid=2)
    assert found(plant) == []


@pytest.mark.parametrize("what", ["crashed", "damaged", "removed"])
def test_a_task_that_was_not_only_waiting_is_no_evidence(late: Plant, what: str) -> None:
    late.line(what, 104, task="late")
    assert found(late) == []


@pytest.mark.parametrize(
    ("what", "until", "words", "late"),
    [
        ("freeze", 101, {"pid": 1}, []),
        ("leaving", None, {"pid": 1}, []),
        ("death", None, {"pid": 1}, []),
        ("away", 101, {"url": "redis://here", "silent": False}, []),
        ("away", 101, {"url": "", "silent": False}, []),
        ("away", 101, {"url": "redis://elsewhere", "silent": False}, ["late"]),
        ("away", 80, {"url": "redis://here", "silent": False}, ["late"]),
        ("away", 85, {"url": "redis://here", "silent": True}, []),
        ("freeze", 80, {"pid": 1}, ["late"]),
    ],
    ids=[
        "frozen",
        "leaving",
        "dead",
        "broker away",
        "any broker away",
        "another broker away",
        "broker back long ago",
        "broker silent just before",
        "thawed long ago",
    ],
)
def test_what_excuses_a_worker_and_what_does_not(
    plant: Plant, what: str, until: float | None, words: dict[str, object], late: list[str]
) -> None:
    plant.ready()
    plant.line("accepted", 100, task="late", queue="q")
    plant.run("late", 105, 106, pid=2)
    plant.line(what, 70, **words)
    if until is not None:
        plant.line({"freeze": "thaw", "away": "back"}[what], until, **words)
    assert found(plant) == late


def test_a_handler_that_blocks_the_loop_excuses_its_worker(plant: Plant) -> None:
    plant.ready(slots=5)
    plant.line("accepted", 100, task="late", queue="q")
    plant.run("blocks", 99, 104, type="crash:block")
    plant.run("late", 105, 106)
    assert found(plant) == []
