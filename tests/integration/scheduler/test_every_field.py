"""Each field of a schedule is obeyed by a whole scheduler on a real server. A field without a check fails the test.

The checks ask in three ways:

- A run by hand shows the options of its tasks.
- The next planned times come from the leader itself, as the answer to an order to skip them. Clock changes are those of
  the year 2099.
- A state with an older last planned time, written as an earlier leader would have left it, makes times missed.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rota.app import Rota
from rota.errors import OrderRefused
from rota.schedule.calendar import Calendar
from rota.schedule.definition import FIELDS, ScheduleDefinition, named_schedule_id
from rota.schedule.due import ScheduleState, timing
from rota.scheduler.memory import ScheduleMemory
from rota.scheduler.run_batch import unix_ms
from rota.scheduler.scheduler import Scheduler
from rota.store import open_store
from rota.tasks.job import TaskInfo, TaskState
from rota.wire.scheduler_steps import SchedulerKeys
from tests.integration.scheduler.conftest import Hand, eventually

NEW_YORK = ZoneInfo("America/New_York")


def now() -> datetime:
    """The present time in whole seconds. Asked in each test, because a suite imports this file minutes before."""
    return datetime.now(UTC).replace(microsecond=0)


HOUR = timedelta(hours=1)


def yearly(**words: Any) -> ScheduleDefinition:
    """A schedule that hardly fires by itself."""
    return ScheduleDefinition.read({"name": "s", "task_type": "t", "specs": ["@yearly"], **words})


def each_second(**words: Any) -> ScheduleDefinition:
    return yearly(**{"specs": ["@every 1s"], "overlap": "allow", **words})


def missed_times(**words: Any) -> ScheduleDefinition:
    """A schedule that has missed six times, ten minutes apart, if `Bench.behind` is called with it."""
    return yearly(**{"specs": ["@every 10m"], "overlap": "allow", "missed": "all", **words})


class Bench:
    """One server, and what schedulers do on it."""

    def __init__(self, app: Rota, hand: Hand, folder: Path) -> None:
        self.app = app
        self.hand = hand
        self.url = f"sqlite:///{folder}/rota.db"

    def scheduler(self, *schedules: ScheduleDefinition) -> AbstractAsyncContextManager[Scheduler]:
        return self.app.scheduler(schedules=schedules)

    async def task(self, definition: ScheduleDefinition) -> TaskInfo:
        """Run a schedule by hand, and return its task."""
        async with self.scheduler(definition):
            run = await self.app.schedule_handle("s").run()
        return await self.app.job(run.task_ids[0], queue=run.queue).info()

    async def times(self, definition: ScheduleDefinition, count: int = 1) -> list[datetime]:
        """Return the next planned times of a schedule."""
        async with self.scheduler(definition):
            return list(await self.app.schedule_handle("s").skip_next(count))

    async def at_least(self, count: int, queue: str = "default") -> bool:
        return len(await self.hand.pending(queue)) >= count

    async def behind(self, definition: ScheduleDefinition, minutes: int = 65) -> None:
        """Leave the state of a leader whose last planned time was some minutes ago."""
        id, last = named_schedule_id("s"), now() - timedelta(minutes=minutes)
        text = ScheduleMemory(ScheduleState(since=last, timing=timing(definition), last=last)).text()
        last_key = SchedulerKeys(self.hand.broker.keys).shard(id).last
        await self.hand.broker.admin.execute("HSET", last_key, id, f"{unix_ms(last)} {text}")

    async def caught_up(self, definition: ScheduleDefinition) -> int:
        """Return how many of six missed times run."""
        await self.behind(definition)
        async with self.scheduler(definition) as scheduler:

            async def decided() -> bool:
                tally = scheduler.status().tally
                return tally.fired + sum(tally.skipped.values()) >= 6

            await eventually(decided)
        return len(await self.hand.pending())

    async def skips(self, definition: ScheduleDefinition, reason: str) -> None:
        """Let a schedule skip a planned time for a reason, and see that it does not fire."""
        async with self.scheduler(definition) as scheduler:
            await self.sees_skip(scheduler, reason)

    async def sees_skip(self, scheduler: Scheduler, reason: str) -> None:
        async def skipped() -> bool:
            return scheduler.status().tally.skipped[reason] >= 1

        await eventually(skipped)
        assert await self.hand.pending() == []

    async def with_calendar(self, definition: ScheduleDefinition, act: Callable[[Scheduler], Awaitable[None]]) -> None:
        """Let a scheduler know a calendar on which today and tomorrow are days off."""
        today = now().date()
        days = [today.isoformat(), (today + timedelta(days=1)).isoformat()]
        async with open_store(self.url) as store:
            await store.save_calendar(Calendar.read({"name": "c", "days_off": days}), by="anna")
            await store.create(definition, by="anna")
            async with self.app.scheduler(store=self.url) as scheduler:
                await act(scheduler)

    async def end(self, task_id: str, state: str) -> None:
        """Let a task end, as a worker would."""
        keys = self.hand.broker.keys.queue("default")
        await self.hand.broker.admin.execute("LREM", keys.pending, 0, task_id)
        await self.hand.broker.admin.execute("HSET", keys.task(task_id), "state", state)


async def name(bench: Bench) -> None:
    assert (await bench.task(yearly(payload={"by": "{{schedule}}"}))).payload == b'{"by":"s"}'


async def kind(bench: Bench) -> None:
    with pytest.raises(OrderRefused, match="no next planned time"):
        await bench.times(ScheduleDefinition(name="s", kind="wait", task_type="t"))


async def task_type(bench: Bench) -> None:
    assert (await bench.task(yearly(task_type="mail:send"))).type == "mail:send"


async def payload(bench: Bench) -> None:
    assert (await bench.task(yearly(payload={"a": [1]}))).payload == b'{"a":[1]}'


async def specs(bench: Bench) -> None:
    times = await bench.times(yearly(specs=["0 3 * * *", "0 9 * * *"]), 4)
    assert {at.hour for at in times} == {3, 9}


async def timezone(bench: Bench) -> None:
    [at] = await bench.times(yearly(specs=["0 9 * * *"], timezone="Asia/Tokyo"))
    assert at.hour == 0


async def process_at(bench: Bench) -> None:
    once = {"specs": None, "kind": "once", "process_at": (at := now() - HOUR).isoformat()}
    async with bench.scheduler(yearly(**once)):
        await eventually(lambda: bench.at_least(1))
    [task_id] = await bench.hand.pending()
    assert task_id.endswith(f"-{unix_ms(at)}")


async def process_in(bench: Bench) -> None:
    async with bench.scheduler(yearly(specs=None, kind="once", process_in="1s")):
        await eventually(lambda: bench.at_least(1))


async def queue(bench: Bench) -> None:
    assert (await bench.task(yearly(queue="low"))).queue == "low"


async def max_retry(bench: Bench) -> None:
    assert (await bench.task(yearly(max_retry=0))).max_retry == 0


async def timeout(bench: Bench) -> None:
    assert (await bench.task(yearly(timeout="7s"))).timeout == timedelta(seconds=7)


async def deadline(bench: Bench) -> None:
    found = (await bench.task(yearly(deadline="1h"))).deadline
    assert found is not None
    assert HOUR - timedelta(minutes=2) < found - datetime.now(UTC) <= HOUR


async def unique(bench: Bench) -> None:
    async with bench.scheduler(yearly(unique="1h", overlap="allow")):
        assert (await bench.app.schedule_handle("s").run()).outcome is None
        assert (await bench.app.schedule_handle("s").run()).skip_reason == "unique"


async def retention(bench: Bench) -> None:
    assert (await bench.task(yearly(retention="3h"))).retention == 3 * HOUR


async def group(bench: Bench) -> None:
    found = await bench.task(yearly(group="g"))
    assert (found.group, found.state) == ("g", TaskState.AGGREGATING)


async def headers(bench: Bench) -> None:
    assert (await bench.task(yearly(headers={"k": "v"}))).headers["k"] == "v"


async def missed(bench: Bench) -> None:
    assert await bench.caught_up(missed_times(missed="skip")) == 0
    assert await bench.caught_up(missed_times(missed="once")) == 1
    await bench.hand.take_all()
    await bench.hand.lose_everything()
    assert await bench.caught_up(missed_times()) == 6


async def missed_limit(bench: Bench) -> None:
    assert await bench.caught_up(missed_times(missed_limit=2)) == 2


async def start_deadline(bench: Bench) -> None:
    assert await bench.caught_up(missed_times(start_deadline="28m")) == 3


async def overlap(bench: Bench) -> None:
    async with bench.scheduler(yearly(overlap="skip")):
        first = await bench.app.schedule_handle("s").run()
        assert [first.outcome, (await bench.app.schedule_handle("s").run()).skip_reason] == [None, "overlap"]


async def overlap_limit(bench: Bench) -> None:
    definition = missed_times(overlap="queue_all", overlap_limit=2)
    await bench.behind(definition)
    async with bench.scheduler(definition) as scheduler:

        async def skipped() -> bool:
            return scheduler.status().tally.skipped["overlap"] == 3  # one of six runs, and two wait

        await eventually(skipped)


async def skipped_hour(bench: Bench) -> None:
    words = {"specs": ["30 2 * * *"], "timezone": "America/New_York", "starts_at": "2099-03-08T00:00-05:00"}
    [after] = await bench.times(yearly(**words))
    assert after.astimezone(NEW_YORK).isoformat() == "2099-03-08T03:00:00-04:00"
    [skipped] = await bench.times(yearly(**words, skipped_hour="skip"))
    assert skipped.astimezone(NEW_YORK).day == 9


async def repeated_hour(bench: Bench) -> None:
    words = {"specs": ["30 1 * * *"], "timezone": "America/New_York", "starts_at": "2099-11-01T00:00-04:00"}
    first, second = await bench.times(yearly(**words, repeated_hour="twice"), 2)
    assert second - first == HOUR


async def jitter(bench: Bench) -> None:
    async with bench.scheduler(each_second(jitter="365d"), each_second(name="other", queue="low")):
        await eventually(lambda: bench.at_least(3, "low"))
    assert await bench.hand.pending() == []


async def starts_at(bench: Bench) -> None:
    [at] = await bench.times(yearly(specs=["@every 1h"], starts_at="2099-01-01T00:17Z"))
    assert at == datetime(2099, 1, 1, 0, 17, tzinfo=UTC)


async def ends_at(bench: Bench) -> None:
    words = {"specs": ["@hourly"], "starts_at": "2099-01-01T00:30Z", "ends_at": "2099-01-01T03:00Z"}
    assert [at.hour for at in await bench.times(yearly(**words), 100)] == [1, 2, 3]


async def max_runs(bench: Bench) -> None:
    assert await bench.caught_up(missed_times(max_runs=4)) == 4


async def calendar(bench: Bench) -> None:
    await bench.with_calendar(each_second(calendar="c"), lambda scheduler: bench.sees_skip(scheduler, "calendar"))


async def on_day_off(bench: Bench) -> None:
    async def moved(scheduler: Scheduler) -> None:
        [at] = await bench.app.schedule_handle("s").skip_next()
        # An hour ago too, because midnight may have come since the calendar was written.
        assert at.date() - timedelta(days=2) in {now().date(), (now() - HOUR).date()}

    await bench.with_calendar(yearly(specs=["59 23 * * *"], calendar="c", on_day_off="next_working_day"), moved)


async def then(bench: Bench) -> None:
    async with bench.scheduler(yearly(then=[{"task_type": "mail", "queue": "mails"}])):
        run = await bench.app.schedule_handle("s").run()
        await bench.end(run.id, "completed")
        await eventually(lambda: bench.at_least(1, "mails"))


async def fan_out(bench: Bench) -> None:
    async with bench.scheduler(yearly(fan_out=3)):
        run = await bench.app.schedule_handle("s").run()
    info = await bench.app.job(run.task_ids[2], queue=run.queue).info()
    assert (len(run.task_ids), info.payload) == (3, b'{"shard":2,"shards":3}')


async def auto_pause(bench: Bench) -> None:
    async with bench.scheduler(each_second(overlap="skip", auto_pause=1)) as scheduler:
        await eventually(lambda: bench.at_least(1))
        [task_id] = await bench.hand.pending()
        await bench.end(task_id, "archived")

        async def refuses_to_skip() -> bool:
            try:
                await bench.app.schedule_handle("s").skip_next()
            except OrderRefused:
                return True
            return False

        await eventually(refuses_to_skip)
        assert scheduler.status().tally.fired == 1


async def enabled(bench: Bench) -> None:
    with pytest.raises(OrderRefused, match="no next planned time"):
        await bench.times(each_second(enabled=False))


async def pause_until(bench: Bench) -> None:
    await bench.skips(each_second(pause_until=(now() + HOUR).isoformat()), "paused")


async def for_people(bench: Bench) -> None:
    """What only people read stands in the store as it was given, and a tag finds its schedules."""
    words = {"pause_note": "audit", "remark": "of the shop", "tags": ["a", "b"], "owner": "anna"}
    definition = yearly(pause_until=(now() + HOUR).isoformat(), **words)
    async with open_store(bench.url) as store:
        await store.create(definition, by="anna")
        [found] = (await store.schedules(tag="b")).items
        assert found.definition == definition
        assert (await store.schedules(tag="c")).items == ()


CHECKS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    each.__name__: each
    for each in (
        *(name, kind, task_type, payload, specs, timezone, process_in, process_at),
        *(queue, max_retry, timeout, deadline, unique, retention, group, headers),
        *(missed, missed_limit, start_deadline, overlap, overlap_limit, skipped_hour, repeated_hour, jitter),
        *(starts_at, ends_at, max_runs, calendar, on_day_off, then, fan_out, auto_pause, enabled, pause_until),
    )
}
CHECKS |= dict.fromkeys(("pause_note", "remark", "tags", "owner"), for_people)


def test_each_field_has_a_check() -> None:
    unchecked = sorted(set(CHECKS) ^ set(FIELDS))
    assert not unchecked, f"Write a check of each of these fields, and name it in CHECKS: {unchecked}"


@pytest.mark.parametrize("field", FIELDS)
async def test_field_is_obeyed(field: str, app: Rota, hand: Hand, tmp_path: Path) -> None:
    await CHECKS[field](Bench(app, hand, tmp_path))
