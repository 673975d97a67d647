"""Orders about schedules that are declared in code: run now, skip next, pause and resume."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.app import Rota
from rota.errors import OptionError
from rota.schedule.definition import ScheduleDefinition
from rota.scheduler.orders import ScheduleOrders
from rota.wire.scheduler_steps import SchedulerKeys, send_order
from tests.integration.scheduler.conftest import Hand, eventually

YEARLY = ScheduleDefinition(name="yearly", task_type="t", specs=["@yearly"], payload={"a": 1})


def each_second() -> ScheduleDefinition:
    return ScheduleDefinition(name="each", task_type="t", specs=["@every 1s"], overlap="allow")


async def at_least(hand: Hand, count: int) -> bool:
    return len(await hand.pending()) >= count


async def test_run_now_runs_once_with_another_payload(app: Rota, hand: Hand) -> None:
    orders = ScheduleOrders(hand.broker, by="anna")
    assert not await orders.run_now("yearly", payload={"a": 2})  # no scheduler leads, so the order waits
    async with app.scheduler(schedules=[YEARLY]):
        await eventually(lambda: at_least(hand, 1))
        [task_id] = await hand.pending()
        assert (await app.job(task_id, queue="default").info()).payload == b'{"a":2}'
        assert await orders.run_now("yearly", overlap="allow")
        await eventually(lambda: at_least(hand, 2))


async def test_run_now_obeys_the_rule_of_overlaps(app: Rota, hand: Hand) -> None:
    orders = ScheduleOrders(hand.broker)
    async with app.scheduler(schedules=[YEARLY]) as scheduler:
        await orders.run_now("yearly")
        await orders.run_now("yearly")

        async def skipped() -> bool:
            return scheduler.status().tally.skipped["overlap"] == 1

        await eventually(skipped)
    assert len(await hand.pending()) == 1


async def test_order_that_is_read_twice_is_carried_out_once(app: Rota, hand: Hand) -> None:
    keys = SchedulerKeys(hand.broker.keys)
    await ScheduleOrders(hand.broker).run_now("yearly", overlap="allow")
    [order] = await hand.broker.admin.execute("LRANGE", keys.inbox, 0, -1)
    async with app.scheduler(schedules=[YEARLY]):
        await eventually(lambda: at_least(hand, 1))
    await hand.take_all()
    async with app.scheduler(schedules=[YEARLY]):
        await hand.broker.run(send_order(keys, order))

        async def empty() -> bool:
            return await hand.broker.admin.execute("LLEN", keys.inbox) == 0

        await eventually(empty)
    assert await hand.pending() == []


async def test_next_times_can_be_skipped(app: Rota, hand: Hand) -> None:
    async with app.scheduler(schedules=[each_second()]) as scheduler:
        await eventually(lambda: at_least(hand, 1))
        await ScheduleOrders(hand.broker).skip_next("each", 2)

        async def skipped() -> bool:
            return scheduler.status().tally.skipped["skip_next"] == 2

        await eventually(skipped)
        before = len(await hand.pending())
        await eventually(lambda: at_least(hand, before + 1))


async def test_pause_holds_over_a_restart_until_the_schedule_is_resumed(app: Rota, hand: Hand) -> None:
    orders = ScheduleOrders(hand.broker)
    async with app.scheduler(schedules=[each_second()]):
        await eventually(lambda: at_least(hand, 1))
        await orders.pause("each", until=datetime.now(UTC) + timedelta(hours=1), note="audit")

        async def is_paused() -> bool:
            before = len(await hand.pending())
            return "audit" in await hand.stored_states() and len(await hand.pending()) == before

        await eventually(is_paused)
    await hand.take_all()
    async with app.scheduler(schedules=[each_second()]) as scheduler:

        async def skipped() -> bool:
            return scheduler.status().tally.skipped["paused"] >= 1

        await eventually(skipped)
        assert await hand.pending() == []
        await orders.resume("each")
        await eventually(lambda: at_least(hand, 1))


async def test_wrong_orders_are_refused_before_they_are_sent(hand: Hand) -> None:
    orders = ScheduleOrders(hand.broker)
    with pytest.raises(OptionError, match="1 to 100"):
        await orders.skip_next("each", 0)
    with pytest.raises(OptionError, match="no time zone"):
        await orders.pause("each", until=datetime(2030, 1, 1))
