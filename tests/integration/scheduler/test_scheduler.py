"""Whole schedulers in this process, on a real server: they fire on time, once, and hand over the lead."""

import re
from datetime import timedelta

from rota.app import Rota
from rota.schedule.definition import ScheduleDefinition, named_schedule_id
from rota.scheduler.scheduler import Scheduler
from tests.integration.scheduler.conftest import Hand, eventually
from tests.servers.process import Server


def second(name: str = "each", **words: object) -> ScheduleDefinition:
    """A schedule that fires every second."""
    return ScheduleDefinition.read(
        {"name": name, "task_type": "t", "specs": ["@every 1s"], "overlap": "allow", **words}
    )


async def planned(hand: Hand, queue: str = "default") -> list[int]:
    """The planned times of the tasks in a queue, in seconds."""
    return sorted(int(each.rpartition("-")[2]) // 1000 for each in await hand.pending(queue))


async def test_schedule_fires_each_second_once(app: Rota, hand: Hand) -> None:
    async with app.scheduler(schedules=[second()]) as scheduler:
        await eventually(lambda: _at_least(hand, 3))
        await eventually(lambda: _fired(scheduler, 2))
        status = scheduler.status()
    times = await planned(hand)
    assert times == list(range(times[0], times[0] + len(times)))
    assert status.leading
    assert status.leader == scheduler.name


async def _fired(scheduler: Scheduler, count: int) -> bool:
    """The scheduler counts runs after it has enqueued them, so that the tasks are seen earlier than the count."""
    return scheduler.status().tally.fired >= count


async def _at_least(hand: Hand, count: int, queue: str = "default") -> bool:
    return len(await hand.pending(queue)) >= count


async def test_second_scheduler_takes_over_and_repeats_nothing(app: Rota, hand: Hand) -> None:
    async with app.scheduler(schedules=[second()]) as second_one:
        async with app.scheduler(schedules=[second()]) as first:
            await eventually(lambda: _at_least(hand, 2))
            assert [second_one.leading, first.leading].count(True) == 1
        before = len(await hand.pending())
        await eventually(lambda: _at_least(hand, before + 2))
        assert second_one.leading
    times = await planned(hand)
    assert times == list(range(times[0], times[0] + len(times)))


async def test_interval_counts_from_the_first_sight_also_after_a_restart(app: Rota, hand: Hand) -> None:
    definition = ScheduleDefinition(name="slow", task_type="t", specs=["@every 3s"], overlap="allow")
    seen: set[int] = set()
    for _ in range(3):  # each start is a deploy
        async with app.scheduler(schedules=[definition]) as scheduler:
            await eventually(lambda: _has_decided(scheduler, hand))
        seen.add(await _first_sight(hand))
    async with app.scheduler(schedules=[definition]):
        await eventually(lambda: _at_least(hand, 1))
    [first_sight] = seen
    times = [int(each.rpartition("-")[2]) for each in await hand.pending()]
    assert {(time - first_sight) % 3000 for time in times} == {0}


async def _has_decided(scheduler: Scheduler, hand: Hand) -> bool:
    return scheduler.status().leading and '"since":' in await hand.stored_states()


async def _first_sight(hand: Hand) -> int:
    """The moment from which the times of the only schedule count, in milliseconds."""
    [since] = re.findall(r'"since":(\d+)', await hand.stored_states())
    return int(since)


async def test_options_of_the_schedule_and_of_the_task_apply(app: Rota, hand: Hand) -> None:
    @app.task("report", queue="declared", retention="1h")
    async def report(day: str, run: str) -> None:
        """Do nothing."""

    definition = ScheduleDefinition(
        name="daily",
        task_type="report",
        specs=["@every 1s"],
        max_retry=3,
        payload={"day": "{{planned_at}}", "run": "{{run}}"},
    )
    async with app.scheduler(schedules=[definition]):
        await eventually(lambda: _at_least(hand, 1, "declared"))
    [task_id, *_] = await hand.pending("declared")
    info = await app.job(task_id, queue="declared").info()
    assert (info.type, info.max_retry, info.retention) == ("report", 3, timedelta(hours=1))
    assert task_id in info.payload.decode()


async def test_fan_out_makes_one_task_for_each_shard(app: Rota, hand: Hand) -> None:
    async with app.scheduler(schedules=[second(fan_out=3)]):
        await eventually(lambda: _at_least(hand, 3))
    ids = (await hand.pending())[:3]
    assert [each.rpartition("-")[2] for each in ids] == ["0", "1", "2"]


async def test_schedule_that_the_app_refuses_does_not_stop_the_others(app: Rota, hand: Hand) -> None:
    @app.task("strict")
    async def strict(number: int) -> None:
        """Do nothing."""

    wrong = ScheduleDefinition(name="wrong", task_type="strict", specs=["@every 1s"], payload={"number": "x"})
    async with app.scheduler(schedules=[wrong, second()]) as scheduler:
        await eventually(lambda: _at_least(hand, 2))
        await eventually(lambda: _skipped(scheduler, 1, "refused"))
    assert all(each.startswith(named_schedule_id("each")) for each in await hand.pending())


async def test_run_is_skipped_while_the_one_before_is_open_and_fires_when_it_is_over(app: Rota, hand: Hand) -> None:
    async with app.scheduler(schedules=[second(overlap="skip")]) as scheduler:
        await eventually(lambda: _skipped(scheduler, 2))
        assert len(await hand.pending()) == 1
        await hand.take_all()
        await eventually(lambda: _at_least(hand, 1))


async def _skipped(scheduler: Scheduler, count: int, why: str = "overlap") -> bool:
    return scheduler.status().tally.skipped[why] >= count


async def test_fixed_delay_counts_from_the_end_of_the_run(app: Rota, hand: Hand) -> None:
    definition = ScheduleDefinition(name="after", task_type="t", specs=["every 1s after end"])
    async with app.scheduler(schedules=[definition]) as scheduler:
        await eventually(lambda: _at_least(hand, 1))
        await eventually(lambda: _fired(scheduler, 1))
        assert scheduler.status().tally.fired == 1
        await hand.take_all()
        await eventually(lambda: _fired(scheduler, 2))
        assert len(await hand.pending()) == 1


async def test_scheduler_does_not_scan_the_keys_of_the_server() -> None:
    server = Server().start()
    try:
        with server.admin() as client:
            app = Rota(server.url)
            async with app, app.scheduler(schedules=[second(), second("other", overlap="skip")]) as scheduler:
                await eventually(lambda: _fired(scheduler, 2))
            called = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    finally:
        server.stop()
    assert "evalsha" in called
    assert called.isdisjoint({"keys", "scan", "randomkey", "dbsize"})
