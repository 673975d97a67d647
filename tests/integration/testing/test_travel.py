"""The clock of a sandbox: what it makes due, what it leaves alone, and what it refuses."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest

from rota import Context, GroupedTask, Plan, Rota, Unique
from rota.broker.broker import Broker
from rota.broker.sync import SyncBroker
from rota.errors import OptionError, TaskNotFound
from rota.testing import Sandbox, SandboxClock, SandboxServer
from rota.wire.fetch import Spared, fetch
from rota.wire.script import load, set_test_clock, shifted

app = Rota("redis://127.0.0.1:1/0")
seen: list[datetime] = []
clocks: list[SandboxClock] = []
summarized_at: list[datetime] = []
"""What each of `clocks` showed when a summary was made."""


@app.task("report:build", retention="10m")
async def build(number: int) -> int:
    return number


@app.task("index:build", unique=Unique("10m"))
async def index(document: str) -> None:
    pass


@app.task("comment:added")
async def comment(author: str) -> None:
    raise AssertionError("a comment of a group does not run alone")


@app.task("comment:summary")
async def summary(authors: list[str]) -> str:
    summarized_at.extend(clock.now() for clock in clocks)
    return ", ".join(sorted(authors))


@app.aggregator("comment:added", group="page-*", grace="30s", max_delay="10m")
def summarize(group: str, tasks: list[GroupedTask]) -> Plan[str]:
    return summary.plan([task.json()["author"] for task in tasks])


@app.task("number:added")
async def listed(number: int) -> None:
    raise AssertionError("a number of a group does not run alone")


@app.task("number:list")
async def listing(numbers: list[int]) -> list[int]:
    return numbers


@app.aggregator("number:added", group="page-*", grace="30s")
def make_list(group: str, tasks: list[GroupedTask]) -> Plan[list[int]]:
    return listing.plan([task.json()["number"] for task in tasks])


@app.task("limit:look", timeout="10m")
async def look_at_limit(context: Context) -> None:
    assert context.deadline is not None
    assert timedelta(0) < (context.time_left or timedelta(0)) <= timedelta(minutes=10)
    seen.append(context.deadline)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> Iterator[Sandbox]:
    with Sandbox(app, server=server) as sandbox:
        yield sandbox


def test_delayed_task_is_due_after_its_delay_and_not_before(sandbox: Sandbox) -> None:
    build.options(delay="1h").enqueue_sync(7)

    sandbox.clock.travel("59m")
    assert sandbox.drain_sync() == []

    sandbox.clock.travel("1m")
    assert [run.result for run in sandbox.drain_sync()] == [7]


def test_task_for_an_instant_is_due_at_it(sandbox: Sandbox) -> None:
    monday = datetime(2031, 3, 3, 9, tzinfo=UTC)
    sandbox.clock.freeze(monday - timedelta(hours=1))
    build.options(process_at=monday).enqueue_sync(7)
    assert sandbox.enqueued()[0].next_process_at == monday

    sandbox.clock.travel_to(monday)

    assert sandbox.enqueued()[0].state == "pending"


def test_stopped_clock_shows_one_time_and_gives_exact_times(sandbox: Sandbox) -> None:
    at = sandbox.clock.freeze()
    build.options(delay="90s").enqueue_sync(7)

    [task] = sandbox.enqueued()

    assert sandbox.clock.now() == at
    assert task.next_process_at == at + timedelta(seconds=90)


def test_clock_goes_on_from_the_time_that_it_showed(sandbox: Sandbox) -> None:
    at = sandbox.clock.freeze(datetime(2031, 3, 3, tzinfo=UTC))

    resumed = sandbox.clock.resume()

    assert resumed - at < timedelta(minutes=5)
    assert at <= resumed < sandbox.clock.now()


def test_retention_is_over_after_its_time(sandbox: Sandbox) -> None:
    job = build.enqueue_sync(7)
    sandbox.drain_sync()
    sandbox.clock.travel("9m")
    assert job.info().state == "completed"

    sandbox.clock.travel("1m1s")

    with pytest.raises(TaskNotFound):
        job.info()


def test_unique_lock_expires_with_the_clock(sandbox: Sandbox) -> None:
    assert index.enqueue_sync("readme").created
    sandbox.clock.travel("9m")
    assert not index.enqueue_sync("readme").created

    sandbox.clock.travel("1m")

    assert index.enqueue_sync("readme").created


def test_group_is_aggregated_after_its_grace(sandbox: Sandbox) -> None:
    for author in ("Ann", "Bo"):
        comment.options(group="page-7").enqueue_sync(author)
    assert sandbox.drain_sync() == []

    sandbox.clock.travel("31s")

    assert [run.result for run in sandbox.drain_sync()] == ["Ann, Bo"]
    assert sandbox.enqueued() == []


def test_drain_that_travels_stops_when_each_group_is_due(sandbox: Sandbox) -> None:
    began = sandbox.clock.freeze()
    for minute, author in enumerate(("Ann", "Bo", "Cy")):
        comment.options(group="page-7", delay=timedelta(minutes=minute)).enqueue_sync(author)
    clocks.append(sandbox.clock)
    try:
        runs = sandbox.drain_sync(travel="1h")
    finally:
        clocks.clear()

    assert [run.result for run in runs] == ["Ann", "Bo", "Cy"]
    assert [round((at - began).total_seconds()) for at in summarized_at] == [30, 90, 150]
    assert sandbox.clock.now() == began + timedelta(hours=1)


def test_time_limit_of_a_run_follows_the_clock(sandbox: Sandbox) -> None:
    at = sandbox.clock.freeze(datetime(2031, 3, 3, tzinfo=UTC))
    look_at_limit.enqueue_sync()

    sandbox.drain_sync(raise_errors=True)

    assert timedelta(0) <= seen.pop() - (at + timedelta(minutes=10)) < timedelta(minutes=2)


@pytest.mark.parametrize("many", [False, True], ids=["single", "many"])
def test_tasks_enqueued_while_the_clock_stands_still_keep_their_order(sandbox: Sandbox, many: bool) -> None:
    sandbox.clock.freeze()
    scheduled = [build.options(delay="1h").plan(number) for number in range(20)]
    grouped = [listed.options(group="page-7").plan(number) for number in range(20)]
    later = [listed.options(group="page-8", delay="1m").plan(number) for number in range(20)]
    for plans in (scheduled, grouped, later):
        if many:
            app.enqueue_many_sync(plans)
        else:
            for plan in plans:
                app.send_sync(plan)

    results = [run.result for run in sandbox.drain_sync(travel="2h", concurrency=1)]

    assert [each for each in results if isinstance(each, list)] == [list(range(20))] * 2
    assert [each for each in results if isinstance(each, int)] == list(range(20))


async def test_travel_does_not_take_a_running_task_for_lost(server: SandboxServer) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    own = Rota("redis://127.0.0.1:1/0")
    runs: list[int] = []

    @own.task("slow:task", retention="30d")
    async def slow(number: int) -> int:
        runs.append(number)
        started.set()
        await go_on.wait()
        return number

    async with Sandbox(own, server=server) as sandbox, own.worker():
        job = await slow.enqueue(7)
        await asyncio.wait_for(started.wait(), 30)
        sandbox.clock.travel("1h")
        async with own.worker():  # a second worker sweeps at its start
            assert not (await job.info()).is_orphaned
            go_on.set()
            assert await job.result(timeout="30s") == 7
    assert runs == [7]


async def test_running_worker_takes_what_became_due(server: SandboxServer) -> None:
    async with Sandbox(app, server=server) as sandbox, app.worker():
        job = await build.options(delay="1h").enqueue(7)

        sandbox.clock.travel("1h")

        assert await job.result(timeout="30s") == 7


async def test_other_connections_with_the_url_see_the_clock(sandbox: Sandbox) -> None:
    sandbox.clock.freeze(datetime(2031, 3, 3, tzinfo=UTC))

    async with Broker.from_url(sandbox.url) as broker:
        assert await broker.run(set_test_clock("read")) == datetime(2031, 3, 3, tzinfo=UTC).timestamp() * 1e6


async def test_task_of_a_spared_type_that_is_no_moment_old_stays_in_its_queue(sandbox: Sandbox) -> None:
    async with Broker.from_url(sandbox.url) as broker:
        for _ in range(50):
            sandbox.clock.freeze()
            await app.enqueue("another:type", {})
            shares = [(broker.keys.queue("default"), 10)]
            spared = Spared(("another:type",), 3)
            fetched = await broker.run(fetch(shares, token="token-1", wanted=10, lease_seconds=30, spared=spared))
            assert fetched.batches[0].tasks == []
            sandbox.clock.travel("137us")


def test_every_script_compiles_with_the_clock(sandbox: Sandbox) -> None:
    names = sorted(path.name.removesuffix(".lua") for path in files("rota.wire").joinpath("lua").iterdir())
    assert len(names) > 50

    with SyncBroker.from_url(sandbox.url) as broker:
        for name in names:
            assert broker.execute("SCRIPT", "LOAD", shifted(load(name)).source)


def test_counters_are_those_of_the_day_that_the_clock_shows(sandbox: Sandbox) -> None:
    sandbox.clock.freeze(datetime(2019, 7, 1, 12, tzinfo=UTC))
    build.enqueue_sync(7)

    sandbox.drain_sync()

    with SyncBroker.from_url(sandbox.url) as broker:
        key = "asynq:{default}:processed:2019-07-01"
        assert broker.execute("GET", key) == b"1"
        assert broker.execute("TTL", key) > 80 * 86400


def test_clock_does_not_go_back_once_there_are_tasks(sandbox: Sandbox) -> None:
    build.enqueue_sync(7)

    with pytest.raises(OptionError, match="before the first task"):
        sandbox.clock.travel_to(datetime(2019, 7, 1, tzinfo=UTC))


def test_travel_back_by_a_duration_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(OptionError, match="cannot be negative"):
        sandbox.clock.travel(timedelta(seconds=-1))


def test_instant_without_a_time_zone_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(OptionError, match="no time zone"):
        sandbox.clock.travel_to(datetime(2031, 3, 3))


def test_value_that_is_not_an_instant_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(OptionError, match="'2031-03-03' is not an instant: write datetime"):
        sandbox.clock.travel_to("2031-03-03")  # type: ignore[arg-type]


def test_clock_does_not_leave_the_years_that_it_can_show(sandbox: Sandbox) -> None:
    before = sandbox.clock.now()

    for days in (300 * 365, 99_999_999):
        with pytest.raises(OptionError, match="from 1970 to 2255"):
            sandbox.clock.travel(timedelta(days=days))
    with pytest.raises(OptionError, match="from 1970 to 2255"):
        sandbox.clock.travel_to(datetime(1969, 7, 20, tzinfo=UTC))

    assert timedelta(0) < sandbox.clock.now() - before < timedelta(hours=1)


def test_clock_that_cannot_stop_at_an_instant_goes_on(sandbox: Sandbox) -> None:
    build.enqueue_sync(7)

    for wrong in (datetime(2031, 3, 3), datetime(2019, 7, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC)):
        with pytest.raises(OptionError):
            sandbox.clock.freeze(wrong)

    assert sandbox.clock.now() < sandbox.clock.now()


def test_stopped_clock_shows_whole_milliseconds_as_the_times_of_tasks(sandbox: Sandbox) -> None:
    times = [(sandbox.clock.freeze(), build.options(delay="1h").enqueue_sync(number)) for number in range(5)]
    found = {task.id: task.next_process_at for task in sandbox.enqueued()}
    assert [found[job.id] for _, job in times] == [now + timedelta(hours=1) for now, _ in times]
