"""What follows the end of a run: further schedules and tasks, a pause after failures."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from rota.app import Rota
from rota.errors import BrokerUnavailable
from rota.schedule.definition import ScheduleDefinition, named_schedule_id
from rota.scheduler.memory import OpenRun
from rota.scheduler.run_ends import cancel_tasks
from rota.tasks.job import TaskState
from rota.wire.script import Call
from tests.integration.scheduler.conftest import Hand, eventually


def manual(name: str, **words: object) -> ScheduleDefinition:
    """A schedule that runs only by orders."""
    return ScheduleDefinition.read({"name": name, "task_type": "t", "specs": ["@yearly"], **words})


async def at_least(hand: Hand, count: int, queue: str = "default") -> bool:
    return len(await hand.pending(queue)) >= count


async def end(hand: Hand, task_id: str, state: str, queue: str = "default") -> None:
    """Let a task end, as a worker would."""
    keys = hand.broker.keys.queue(queue)
    await hand.broker.admin.execute("LREM", keys.pending, 0, task_id)
    await hand.broker.admin.execute("HSET", keys.task(task_id), "state", state)


async def test_schedule_and_task_start_after_a_success(app: Rota, hand: Hand) -> None:
    then = [{"schedule": "second"}, {"task_type": "mail", "queue": "mails"}, {"on": "failure", "schedule": "third"}]
    given = [manual("first", then=then), manual("second", queue="low"), manual("third", queue="never")]
    async with app.scheduler(schedules=given):
        await app.schedule_handle("first").run()
        await eventually(lambda: at_least(hand, 1))
        [first] = await hand.pending()
        await end(hand, first, "completed")
        await eventually(lambda: at_least(hand, 1, "low"))
        await eventually(lambda: at_least(hand, 1, "mails"))
    assert await hand.pending("low") == [f"{named_schedule_id('second')}-then0-{first}"]
    assert await hand.pending("mails") == [f"{first}-then1"]
    assert await hand.pending("never") == []


async def test_schedules_start_each_other_in_a_chain(app: Rota, hand: Hand) -> None:
    given = [
        manual("a", then=[{"schedule": "b", "on": "always"}]),
        manual("b", queue="b", then=[{"schedule": "c", "on": "failure"}]),
        manual("c", queue="c"),
    ]
    async with app.scheduler(schedules=given):
        await app.schedule_handle("a").run()
        await eventually(lambda: at_least(hand, 1))
        [first] = await hand.pending()
        await end(hand, first, "archived")
        await eventually(lambda: at_least(hand, 1, "b"))
        [second] = await hand.pending("b")
        await end(hand, second, "archived", "b")
        await eventually(lambda: at_least(hand, 1, "c"))


async def test_cancelled_runs_are_cancelled_once_more_if_the_answers_are_lost(
    app: Rota, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = {queue: (await app.enqueue("t", queue=queue)).id for queue in ("mails", "low")}
    running = (await app.enqueue("t", queue="low")).id
    await hand.broker.admin.execute("HSET", hand.broker.keys.queue("low").task(running), "state", "active")
    run_many, calls = hand.broker.run_many, list[int]()

    async def lose_the_first(some: Sequence[Call[Any]]) -> list[Any]:
        answers = await run_many(some)
        calls.append(len(some))
        return answers if len(calls) > 1 else [BrokerUnavailable("lost", maybe_applied=True)] * len(some)

    monkeypatch.setattr(hand.broker, "run_many", lose_the_first)
    runs = [
        OpenRun("a", "mails", (ids["mails"],), datetime.now(UTC)),
        OpenRun("b", "low", (ids["low"], running), datetime.now(UTC)),
    ]
    assert await cancel_tasks(hand.broker, runs, "late") == {running}
    assert calls == [2, 2]
    for queue, task_id in ids.items():
        assert (await app.job(task_id, queue=queue).info()).state is TaskState.ARCHIVED


async def test_schedule_pauses_itself_after_failures_in_a_row(app: Rota, hand: Hand) -> None:
    given = [
        ScheduleDefinition(name="failing", task_type="t", specs=["@every 1s"], auto_pause=2, max_retry=0),
    ]
    async with app.scheduler(schedules=given) as scheduler:
        for _ in range(2):
            await eventually(lambda: at_least(hand, 1))
            [task_id] = await hand.pending()
            await end(hand, task_id, "archived")

        async def is_paused() -> bool:
            stored = await hand.stored_states()
            return "2 failures in a row" in stored

        await eventually(is_paused)
        fired = scheduler.status().tally.fired
        await app.schedule_handle("failing").resume()
        await eventually(lambda: at_least(hand, 1))
        assert fired == 2


async def test_schedule_probes_after_a_pause_and_says_when_it_is_well_again(
    app: Rota, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    probing = {"failures": 1, "probe_after": "1s"}
    given = [ScheduleDefinition.read({"name": "p", "task_type": "t", "specs": ["@every 1s"], "auto_pause": probing})]
    caplog.set_level("INFO", "rota.scheduler")
    async with app.scheduler(schedules=given):
        await eventually(lambda: at_least(hand, 1))
        [failed] = await hand.pending()
        await end(hand, failed, "archived")
        await eventually(lambda: at_least(hand, 1))
        [probe] = await hand.pending()
        await end(hand, probe, "completed")

        async def is_well() -> bool:
            return "A run of schedule p succeeded, after 1 failure in a row." in caplog.text

        await eventually(is_well)
        await eventually(lambda: at_least(hand, 1))
        assert "auto_pause" not in await hand.stored_states()
    assert probe != failed
