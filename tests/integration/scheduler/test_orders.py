"""Orders about schedules that are declared in code: run now, skip next, pause and resume."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rota.app import Rota
from rota.errors import OptionError, OrderRefused, OrderTimeout, SchedulerAway
from rota.schedule.definition import ScheduleDefinition, named_schedule_id
from rota.scheduler.orders import OrderAnswer, ScheduleOrder, carry_out
from rota.store import open_store
from rota.wire.scheduler_steps import AnsweredOrder, SchedulerKeys, inbox, send_order
from tests.integration.scheduler.conftest import Hand, eventually

ID = named_schedule_id("each")
YEARLY = ScheduleDefinition(name="yearly", task_type="t", specs=["@yearly"], payload={"a": 1})
ON_DEMAND = ScheduleDefinition(name="demand", kind="wait", task_type="t", fan_out=2)


def each_second() -> ScheduleDefinition:
    return ScheduleDefinition(name="each", task_type="t", specs=["@every 1s"], overlap="allow")


async def at_least(hand: Hand, count: int) -> bool:
    return len(await hand.pending()) >= count


async def test_run_now_runs_once_with_another_payload(app: Rota, hand: Hand) -> None:
    async with app.scheduler(schedules=[YEARLY]):
        run = await app.schedule_handle("yearly", by="anna").run(payload={"a": 2})
        assert await hand.pending() == [run.id] == list(run.task_ids)
        assert (run.cause, run.by, run.queue, run.outcome) == ("manual", "anna", "default", None)
        assert (await app.job(run.id, queue=run.queue).info()).payload == b'{"a":2}'
        again = await app.schedule_handle(named_schedule_id("yearly")).run(overlap="allow")
        assert (await app.job(again.id, queue="default").info()).payload == b'{"a":1}'


def test_orders_of_blocking_code(redis_url: str) -> None:
    async def scheduler(app: Rota) -> None:
        async with app.scheduler(schedules=[YEARLY]):
            found = await asyncio.to_thread(_orders, redis_url)
            assert found == ["t", datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC)]
        await app.aclose()

    asyncio.run(scheduler(Rota(redis_url)))


def _orders(url: str) -> list[object]:
    with Rota(url) as app:
        yearly = app.schedule_handle("yearly")
        run, [skipped] = yearly.run_sync(), yearly.skip_next_sync()
        yearly.pause_sync(note="by hand")
        yearly.resume_sync()
        return [run.task_type, skipped]


async def test_run_now_obeys_the_rule_of_overlaps(app: Rota, hand: Hand) -> None:
    async with app.scheduler(schedules=[YEARLY, ON_DEMAND]):
        yearly = app.schedule_handle("yearly")
        first = await yearly.run()
        skipped = await yearly.run()
        assert (skipped.outcome, skipped.skip_reason) == ("skipped", "overlap")
        assert (await yearly.run(overlap="queue_one")).outcome == "skipped"
        newer = await yearly.run(overlap="replace")
        assert (await app.job(first.id, queue="default").info()).end == "cancelled"
        assert await hand.pending() == [newer.id]
        shards = await app.schedule_handle("demand").run()
        assert shards.task_ids == (f"{shards.id}-0", f"{shards.id}-1")


async def test_order_is_refused_at_once_without_a_scheduler(app: Rota) -> None:
    with pytest.raises(SchedulerAway, match="rota scheduler"):
        await app.schedule_handle("yearly").run()
    async with app.scheduler(schedules=[YEARLY]):
        assert (await app.schedule_handle("yearly").skip_next())[0].month == 1


async def test_wrong_order_is_refused_and_does_not_stop_the_next(app: Rota, hand: Hand) -> None:
    keys = SchedulerKeys(hand.broker.keys)
    async with app.scheduler(schedules=[YEARLY, ON_DEMAND]):
        await hand.broker.run(send_order(keys, b"nonsense"))
        with pytest.raises(OrderRefused, match="no such schedule"):
            await app.schedule_handle("nowhere").run()
        with pytest.raises(OrderRefused, match="variable"):
            await app.schedule_handle("yearly").run(payload={"a": "{{wrong}}"})
        with pytest.raises(OrderRefused, match="no next planned time"):
            await app.schedule_handle("demand").skip_next()
        await app.schedule_handle("yearly").run()
        assert await hand.broker.admin.execute("LLEN", keys.inbox) == 0


async def test_order_that_is_sent_twice_is_carried_out_once(app: Rota, hand: Hand) -> None:
    run = ScheduleOrder(id="m1", kind="run", schedule="yearly", overlap="allow")
    skip = ScheduleOrder(id="m2", kind="skip", schedule="yearly")
    async with app.scheduler(schedules=[YEARLY]):
        first = await app.client.carry_out(carry_out(app.keys, run))
        times = await app.client.carry_out(carry_out(app.keys, skip))
    keys = SchedulerKeys(hand.broker.keys)
    await hand.take_all()  # its task is gone, so only the state of the schedule knows the order
    await hand.broker.admin.execute("DEL", keys.answer("m1"), keys.answer("m2"))
    async with app.scheduler(schedules=[YEARLY]):  # as if the first leader had died before it answered
        again = await app.client.carry_out(carry_out(app.keys, run))
        assert await app.client.carry_out(carry_out(app.keys, skip)) == times
    assert first.run is not None
    assert again.run is not None
    assert (again.run.id, again.run.queue) == (first.run.id, first.run.queue)
    assert await hand.pending() == []


async def test_inbox_answers_and_removes_together(app: Rota, hand: Hand) -> None:
    keys = SchedulerKeys(hand.broker.keys)
    await hand.broker.admin.execute("RPUSH", keys.inbox, "one", "two", "one")
    life, answer = timedelta(seconds=30), OrderAnswer(refused="no").to_json()
    left = await hand.broker.run(inbox(keys, [AnsweredOrder(b"one", "m1", answer)], most=5, life=life))
    assert left == [b"two"]
    assert await hand.broker.admin.execute("GET", keys.answer("m1")) == answer
    assert 0 < await hand.broker.admin.execute("PTTL", keys.answer("m1")) <= 30_000


async def test_sender_says_that_an_order_without_an_answer_may_still_be_carried_out(app: Rota, hand: Hand) -> None:
    await hand.broker.admin.execute("SET", SchedulerKeys(hand.broker.keys).lease, "frozen", "PX", 60_000)
    order = ScheduleOrder(id="m1", kind="run", schedule="yearly")
    with pytest.raises(OrderTimeout, match="may still be carried out"):
        await app.client.carry_out(carry_out(app.keys, order, wait_seconds=0.1))


async def test_next_times_can_be_skipped(app: Rota, hand: Hand) -> None:
    async with app.scheduler(schedules=[each_second()]) as scheduler:
        await eventually(lambda: at_least(hand, 1))
        times = await app.schedule_handle("each").skip_next(2)
        assert times[1] - times[0] == timedelta(seconds=1)

        async def skipped() -> bool:
            return scheduler.status().tally.skipped["skip_next"] == 2

        await eventually(skipped)
        before = len(await hand.pending())
        await eventually(lambda: at_least(hand, before + 1))
    fired = {int(each.rpartition("-")[2]) for each in await hand.pending()}
    assert not fired & {int(at.timestamp() * 1000) for at in times}


async def test_pause_holds_over_a_restart_until_the_schedule_is_resumed(app: Rota, hand: Hand) -> None:
    each = app.schedule_handle("each", by="anna")
    async with app.scheduler(schedules=[each_second()]):
        await eventually(lambda: at_least(hand, 1))
        await each.pause(datetime.now(UTC) + timedelta(hours=1), note="audit")
    await hand.take_all()
    async with app.scheduler(schedules=[each_second()]) as scheduler:

        async def skipped() -> bool:
            return scheduler.status().tally.skipped["paused"] >= 1

        await eventually(skipped)
        assert await hand.pending() == []
        await each.run(overlap="allow")  # by hand it runs all the same
        assert len(await hand.pending()) == 1
        await each.resume()
        await eventually(lambda: at_least(hand, 2))


async def test_schedule_of_the_store_is_paused_there_but_run_by_order(app: Rota, hand: Hand, tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/rota.db"
    async with open_store(url) as store:
        await store.create(YEARLY, by="anna")
        async with app.scheduler(store=url):
            with pytest.raises(OrderRefused, match="rota schedule pause"):
                await app.schedule_handle("yearly").pause()
            await app.schedule_handle("yearly").run()
            await store.set_hold(by="ben")

            async def held() -> bool:
                try:
                    await app.schedule_handle("yearly").run(overlap="allow")
                except OrderRefused as error:
                    return "held" in str(error)
                return False

            await eventually(held)


async def test_wrong_words_are_refused_before_they_are_sent(app: Rota) -> None:
    with pytest.raises(OptionError, match="1 to 100"):
        await app.schedule_handle("each").skip_next(0)
    with pytest.raises(OptionError, match="no time zone"):
        await app.schedule_handle("each").pause(datetime(2030, 1, 1))
