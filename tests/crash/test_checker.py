"""The checker itself: every kind of loss, double and leftover is planted once, and has to be found."""

import pytest

from tests.crash.plant import Plant, message


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


def test_a_task_that_its_producer_was_unsure_of_and_then_sure_is_lost_like_any_other(plant: Plant) -> None:
    plant.line("unsure", -1, task="lost", queue="q")
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


def test_a_run_after_a_repeated_enqueue_is_no_double(plant: Plant) -> None:
    plant.line("unsure", 0, task="resent", queue="q")
    plant.line("accepted", 4, task="resent", queue="q")
    plant.line("repeated", 4, tasks=["resent"])
    plant.run("resent", 1, 2)
    plant.run("resent", 3, 4)
    plant.count(processed=4)
    verdict = plant.check()
    assert (verdict.faults, verdict.resent, verdict.doubled) == ([], 1, [])


def test_a_run_after_an_enqueue_whose_producer_was_stopped_meanwhile_is_no_double(plant: Plant) -> None:
    plant.line("unsure", 0, task="resent", queue="q")
    plant.run("resent", 1, 2)
    plant.run("resent", 3, 4)
    plant.count(processed=4)
    verdict = plant.check()
    assert (verdict.faults, verdict.resent, verdict.doubled) == ([], 1, [])


def test_a_run_long_after_a_repeated_enqueue_was_answered_is_a_double(plant: Plant) -> None:
    plant.line("unsure", 0, task="resent", queue="q")
    plant.line("accepted", 1, task="resent", queue="q")
    plant.line("repeated", 1, tasks=["resent"])
    plant.run("resent", 50, 51)
    plant.run("resent", 52, 53)
    assert plant.check().doubled == ["resent"]


def test_runs_side_by_side_are_a_double_also_after_a_repeated_enqueue(plant: Plant) -> None:
    plant.line("unsure", 0, task="resent", queue="q")
    plant.line("accepted", 4, task="resent", queue="q")
    plant.line("repeated", 4, tasks=["resent"])
    plant.run("resent", 1, 3)
    plant.run("resent", 2, 4)
    assert plant.check().doubled == ["resent"]


def test_a_run_before_the_death_of_the_first_is_a_double(plant: Plant) -> None:
    plant.accepted("dead")
    plant.run("dead", 1, None, pid=9)
    plant.run("dead", 2, 5, pid=2)
    plant.line("death", 3, pid=9)
    plant.count(processed=3)
    assert plant.check().doubled == ["dead"]


def run_again_after_a_freeze(plant: Plant, *, thaw: float, again: float) -> None:
    """A process is frozen in its run from the second second on, and another one runs the task again."""
    plant.accepted("slow")
    plant.run("slow", 1, 12, how="cancelled")
    plant.line("freeze", 2, pid=1)
    plant.line("thaw", thaw, pid=1)
    plant.run("slow", again, 11, pid=2)
    plant.count(processed=3)


@pytest.mark.parametrize(("frozen", "doubled"), [(8, []), (2, ["slow"])], ids=["long", "short"])
def test_only_a_process_that_was_frozen_beyond_its_lease_is_an_excuse(
    plant: Plant, frozen: float, doubled: list[str]
) -> None:
    run_again_after_a_freeze(plant, thaw=2 + frozen, again=9)
    assert plant.check().doubled == doubled


@pytest.mark.parametrize(("ended", "doubled"), [(12.1, []), (40, ["late"])], ids=["at-the-thaw", "long-after"])
def test_run_that_ends_as_its_process_thaws_may_be_repeated_at_any_time(
    plant: Plant, ended: float, doubled: list[str]
) -> None:
    plant.accepted("late")
    plant.run("late", 1, ended, pid=7)
    plant.line("freeze", 2, pid=7)
    plant.line("thaw", 12, pid=7)
    plant.run("late", 70, 71, pid=8)
    assert plant.check().doubled == doubled


def test_a_run_without_an_end_in_a_process_that_lives_is_found(plant: Plant) -> None:
    plant.accepted("hangs")
    plant.run("hangs", 1, None, pid=7)
    plant.store("hangs", "active")
    assert plant.check().faults == ["hangs: a run in process 7 has no end, and the process lives"]


def test_a_run_long_after_an_end_that_was_surely_recorded_is_a_double_though_its_process_died(plant: Plant) -> None:
    plant.accepted("recorded")
    plant.run("recorded", 1, 2, pid=9)
    plant.line("death", 60, pid=9)
    plant.run("recorded", 61, 62, pid=2)
    assert plant.check().doubled == ["recorded"]


def test_a_second_record_of_one_success_is_found_in_the_counters_where_the_ledger_excuses_the_run(plant: Plant) -> None:
    plant.accepted("recorded")
    plant.run("recorded", 1, 2, pid=9)
    plant.line("death", 3, pid=9)
    plant.run("recorded", 4, 5, pid=2)
    plant.count(processed=4)  # the three tasks that are over, and one of them twice
    verdict = plant.check()
    assert (verdict.doubled, verdict.faults) == ([], ["processed of q is 4, the runs and tasks make 3"])


def test_a_freeze_that_was_over_long_before_is_no_excuse(plant: Plant) -> None:
    plant.accepted("twice")
    plant.line("freeze", 2, pid=1)
    plant.line("thaw", 10, pid=1)
    plant.run("twice", 1, 90, how="cancelled")
    plant.run("twice", 60, 80, pid=2)
    assert plant.check().doubled == ["twice"]


def test_a_run_that_was_overtaken_in_a_freeze_answers_for_the_next_run_only(plant: Plant) -> None:
    plant.accepted("void", "recorded")
    plant.line("freeze", 2, pid=1)
    plant.line("thaw", 10, pid=1)
    plant.run("void", 1, 10.5)
    plant.run("void", 9, None, pid=9)
    plant.line("death", 60, pid=9)
    plant.run("void", 61, 62, pid=2)
    plant.run("recorded", 61, 62, pid=2)
    plant.run("recorded", 63, 64, pid=3)
    plant.count(processed=4)
    assert plant.check().doubled == ["recorded"]


def test_two_tasks_under_one_lock_that_run_at_once_are_a_double(plant: Plant) -> None:
    plant.accepted("one", "other", "later")
    for task in ("one", "other", "later"):
        plant.line("locked", 0, task=task, key="k")
    plant.run("one", 1, 3)
    plant.run("other", 2, 4, pid=2)
    plant.run("later", 5, 6, pid=2)
    plant.count(processed=5)
    verdict = plant.check()
    assert verdict.doubled == ["other"]
    assert "beside one under the same lock" in verdict.faults[0]


def test_the_members_of_a_group_are_done_with_the_task_that_was_made_of_them(plant: Plant) -> None:
    plant.accepted("member", "other", "lost")
    plant.line("joined", 1, task="digest", members=["member", "other"])
    for task in ("member", "other"):
        plant.run(task, 1, 2)
    plant.count(processed=5)  # two members, what was made of them, and two others
    verdict = plant.check()
    assert (verdict.done, verdict.lost, verdict.faults) == (3, ["lost"], ["lost: lost"])


@pytest.mark.parametrize(
    ("fields", "runs", "fault"),
    [
        ({"msg": message(retry=2, retried=2)}, 2, "archived as given up: 2 runs failed, and 2 retries were allowed"),
        ({"msg": message(retry=25, retried=5)}, 5, "archived as given up: 5 runs failed, and 5 retries were allowed"),
        ({}, 0, "archived as given up: 0 runs failed"),
        ({"rota_end": "expired"}, 1, "archived as expired"),
        ({"rota_end": "cancelled"}, 1, "nobody cancelled it"),
        ({"rota_end": "quarantined", "rota_crashes": "1"}, 2, "it is in quarantine, and 0 of its runs were cut off"),
        ({"rota_end": "quarantined"}, 1, "it is in quarantine"),
    ],
)
def test_a_task_that_is_archived_without_reason_is_a_loss_in_disguise(
    plant: Plant, fields: dict[str, str | bytes], runs: int, fault: str
) -> None:
    plant.accepted("it")
    for number in range(runs):
        plant.run("it", 10 + number, 10.5 + number, how="fail", retried=number)
    plant.store("it", "archived", **fields)
    plant.redis.set("rota:{q}:crashed", 3)
    [found] = plant.check(counters=False).faults
    assert fault in found


def test_a_task_that_is_archived_with_reason_is_no_loss(plant: Plant) -> None:
    plant.accepted("gave-up", "cancelled", "poison")
    for number in range(6):
        plant.run("gave-up", 10 + number, 10.5 + number, how="fail" if number % 2 else "timeout", retried=number)
    plant.store("gave-up", "archived", msg=message(retry=25, retried=5))
    plant.line("removed", 1, task="cancelled")
    plant.store("cancelled", "archived", rota_end="cancelled")
    for number in range(3):
        plant.run("poison", 10 + number, None, pid=100 + number)
        plant.line("death", 10.5 + number, pid=100 + number)
    plant.store("poison", "archived", rota_end="quarantined", rota_crashes="3")
    verdict = plant.check(counters=False)
    assert (verdict.faults, verdict.archived) == ([], 4)


@pytest.mark.parametrize(("deadline", "told"), [(5, 2), (5, None), (None, 6)])
def test_a_task_that_is_archived_as_expired_and_is_not_is_a_loss_in_disguise(
    plant: Plant, deadline: float | None, told: float | None
) -> None:
    plant.accepted("it")
    plant.store("it", "archived", rota_end="expired")
    if deadline is not None:
        plant.line("deadline", deadline, task="it")
    if told is not None:
        plant.line("exhausted", told, task="it")
    plant.count(processed=3, failed=2)
    assert plant.check().faults == ["lost: it is archived as expired: 0 runs failed, and 0 retries were allowed"]


def test_a_task_that_has_expired_is_no_loss_and_a_run_after_its_deadline_is_found(plant: Plant) -> None:
    plant.accepted("expired", "late")
    for task in ("expired", "late"):
        plant.line("deadline", 5, task=task)
        plant.line("exhausted", 5.5 if task == "expired" else 9.5, task=task)
        plant.store(task, "archived", rota_end="expired")
    plant.run("late", 8, 9, how="fail")
    plant.count(processed=4, failed=3)
    verdict = plant.check()
    assert (verdict.lost, verdict.faults) == ([], ["late began in process 1 3.0 s after its deadline"])


def test_a_result_that_is_lost_is_found(plant: Plant) -> None:
    plant.accepted("kept", "lost")
    for task in ("kept", "lost"):
        plant.run(task, 1, 2)
        plant.store(task, "completed", msg=message("crash:result"), result=b"a result")
    plant.redis.hdel("asynq:{q}:t:lost", "result")
    plant.count(processed=4)
    assert plant.check().faults == ["lost: the result of lost is None"]


def test_what_the_server_forgot_is_counted_as_forgotten_only_if_it_came_shortly_before_and_ran_no_more(
    plant: Plant,
) -> None:
    plant.accepted("long-known")
    for task in ("forgotten", "seen"):
        plant.line("accepted", 3, task=task, queue="q")
    plant.line("amnesia", 5, seconds=3)
    plant.run("seen", 6, 7, how="fail")
    verdict = plant.check()
    assert (verdict.forgotten, sorted(verdict.lost)) == (1, ["long-known", "seen"])


@pytest.mark.parametrize(("start", "end", "doubled"), [(1, 9, []), (3, 4, []), (-9, 9, ["it"]), (-9, -8, ["it"])])
def test_only_a_take_or_a_record_shortly_before_can_have_been_forgotten(
    plant: Plant, start: float, end: float, doubled: list[str]
) -> None:
    plant.accepted("it")
    plant.run("it", start, end)
    plant.line("amnesia", 3 if start == 1 else 5, seconds=3)
    plant.run("it", 6, 8, pid=2)
    assert plant.check().doubled == doubled


def test_what_a_server_was_told_while_it_died_may_be_forgotten_and_what_it_was_told_afterwards_not(
    plant: Plant,
) -> None:
    plant.line("amnesia", 5, seconds=1, until=plant.now + 7)
    for task, at in (("while", 6), ("afterwards", 8)):
        plant.line("accepted", at, task=task, queue="q")
    verdict = plant.check()
    assert (verdict.forgotten, verdict.lost) == (1, ["afterwards"])


@pytest.mark.parametrize(("start", "doubled"), [(6, []), (9, ["it"])], ids=["soon", "later"])
def test_what_was_taken_before_the_death_of_a_server_may_begin_soon_after_it(
    plant: Plant, start: float, doubled: list[str]
) -> None:
    plant.accepted("it")
    plant.line("amnesia", 5, seconds=1)
    plant.run("it", start, start + 9)
    plant.run("it", start + 1, start + 2, pid=2)
    assert plant.check().doubled == doubled


@pytest.mark.parametrize(("begins", "doubled"), [(2.6, []), (2.4, ["slow"])])
def test_a_run_that_begins_sooner_after_a_freeze_than_any_lease_can_have_run_out_is_a_double(
    plant: Plant, begins: float, doubled: list[str]
) -> None:
    run_again_after_a_freeze(plant, thaw=10, again=2 + begins)
    assert plant.check().doubled == doubled


def test_what_a_go_server_doubles_by_its_own_rules_is_counted_apart_and_nothing_else_is(plant: Plant) -> None:
    plant.accepted("after", "beside", "ours", "ours-after")
    plant.line("go", 0, pid=7)
    plant.run("after", 1, 2, pid=7)
    plant.run("after", 30, 31)
    plant.run("beside", 1, 5, pid=7, how="fail")
    plant.run("beside", 3, 4)
    plant.run("ours", 1, 5)
    plant.run("ours", 3, 4, pid=7)
    plant.run("ours-after", 1, 2)
    plant.run("ours-after", 3, 4, pid=7)
    plant.count(processed=6)
    verdict = plant.check()
    assert (verdict.asynq, sorted(verdict.doubled)) == (2, ["ours", "ours-after"])
