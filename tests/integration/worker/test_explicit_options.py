"""The time limit and the retries that apply to a run: those of a call win, also when they are Asynq's defaults."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from rota.app import Rota
from rota.tasks.context import Context
from rota.tasks.job import Plan
from rota.tasks.policy import Debounce, Retry, Unique
from tests.integration.worker.conftest import Bench, eventually

AT_ONCE = Retry(max=1, delay="10ms")
Limits = list[float]


def limited(app: Rota, timeout: str | None, **words: Any) -> tuple[Any, Limits]:
    """Register a task that notes its time limit in minutes."""
    limits: Limits = []

    @app.task("note:limit", timeout=timeout, **words)
    async def note(context: Context, fails: bool = False) -> None:
        left = context.time_left
        assert left is not None
        limits.append(round(left / timedelta(minutes=1), 1))
        if fails and context.retried == 0:
            raise ValueError("on purpose")

    return note, limits


async def explicit(bench: Bench, task_id: str) -> object:
    return await bench.execute("HGET", f"asynq:{{default}}:t:{task_id}", "rota_explicit")


async def runs(limits: Limits, number: int) -> Limits:
    async def enough() -> bool:
        return len(limits) >= number

    await eventually(enough)
    return limits


@pytest.mark.parametrize(
    ("declared", "given", "minutes", "field"),
    [
        ("10m", {}, 10, None),
        ("10m", {"timeout": "30m"}, 30, b"timeout"),
        ("10m", {"timeout": timedelta(seconds=1799.5)}, 30, b"timeout"),  # rounded up
        ("10m", {"timeout": "20m"}, 20, None),
        ("10m", {"timeout": None}, 10, None),
        ("30m", {}, 30, None),
        ("30m", {"timeout": "30m"}, 30, b"timeout"),
        ("30m", {"timeout": "10m"}, 10, None),
        (None, {}, 30, None),
        (None, {"timeout": "30m"}, 30, b"timeout"),
        ("10m", {"timeout": "30m", "max_retry": 25}, 30, b"max_retry timeout"),
        ("10m", {"max_retry": 25}, 10, b"max_retry"),
        ("10m", {"max_retry": 3}, 10, None),
    ],
)
@pytest.mark.parametrize("way", ["options", "by name", "by name from another program", "blocking", "many"])
async def test_timeout_of_a_call_wins_and_is_marked_only_where_it_equals_the_default(
    app: Rota,
    bench: Bench,
    way: str,
    declared: str | None,
    given: dict[str, Any],
    minutes: float,
    field: bytes | None,
) -> None:
    note, limits = limited(app, declared)
    other = Rota(app.settings.broker.url)
    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "options": lambda: note.options(**given).enqueue(),
        "by name": lambda: app.enqueue("note:limit", {}, **given),
        "by name from another program": lambda: other.enqueue("note:limit", {}, **given),
        "blocking": lambda: asyncio.to_thread(note.options(**given).enqueue_sync),
        "many": lambda: app.enqueue_many([note.options(**given).plan()]),
    }
    async with other:
        made = await ways[way]()
    job = made[0] if isinstance(made, list) else made

    assert await explicit(bench, job.id) == field
    async with app.worker():
        assert await runs(limits, 1) == [minutes]


@pytest.mark.parametrize(
    ("declared", "given", "most_runs"),
    [
        (AT_ONCE, {}, 2),
        (AT_ONCE, {"max_retry": 25}, 26),
        (AT_ONCE, {"max_retry": 0}, 1),
        (AT_ONCE, {"max_retry": None}, 2),
        (Retry(delay="10ms"), {}, 26),
        (Retry(delay="10ms"), {"max_retry": 3}, 4),
    ],
)
async def test_max_retry_of_a_call_wins_also_when_it_is_the_default(
    app: Rota, bench: Bench, declared: Retry, given: dict[str, Any], most_runs: int
) -> None:
    count = 0

    @app.task("fail:always", retry=declared)
    async def fail() -> None:
        nonlocal count
        count += 1
        raise ValueError("on purpose")

    job = await fail.options(**given).enqueue()
    async with app.worker():
        await bench.in_state(job.id, "archived")

    assert count == most_runs


async def test_message_without_the_mark_gets_the_limits_of_its_function(app: Rota, bench: Bench) -> None:
    """As from a Go client, which writes 30 minutes and 25 retries whether they were given or not."""
    _, limits = limited(app, "10m", retry=AT_ONCE)
    job = await app.enqueue("note:limit", b"{}", timeout="30m", max_retry=25)
    await bench.execute("HDEL", f"asynq:{{default}}:t:{job.id}", "rota_explicit")

    async with app.worker():
        assert await runs(limits, 1) == [10]


@pytest.mark.parametrize("run", ["loop", "process"])
async def test_context_has_the_retries_that_count_and_the_message_stays_as_it_was_written(
    app: Rota, bench: Bench, run: Any
) -> None:
    job = await app.enqueue("note:retries", {}, max_retry=25, retention="1m")
    given = await app.enqueue("note:retries", {}, max_retry=25, retention="1m")
    await bench.execute("HDEL", f"asynq:{{default}}:t:{job.id}", "rota_explicit")
    app.task("note:retries", run=run, retry=3)(shown_retries if run == "process" else retries_on_loop)

    async with app.worker():
        assert [await each.result("30s") for each in (job, given)] == [3, 25]
    assert (await job.info()).max_retry == 25


def shown_retries(context: Context) -> int:
    return context.max_retry


async def retries_on_loop(context: Context) -> int:
    return context.max_retry


@pytest.mark.parametrize(
    "words",
    [
        {"delay": "1ms"},
        {"task_id": "mine"},
        {"unique": "1m"},
        {"unique": Unique(key="k", scope="queued")},
        {"debounce": Debounce("k", "1ms")},
        {"headers": {"a": "b"}, "retention": "1m"},
    ],
)
async def test_timeout_of_a_call_wins_together_with_other_options(app: Rota, words: dict[str, Any]) -> None:
    note, limits = limited(app, "10m")
    await note.options(timeout="30m", **words).enqueue()

    async with app.worker():
        assert await runs(limits, 1) == [30]


async def test_mark_survives_a_retry_edits_and_an_early_run(app: Rota, bench: Bench) -> None:
    note, limits = limited(app, "10m", retry=Retry(max=3, delay="1h"))
    job = await note.options(timeout="30m", delay="1h").enqueue()
    await job.update_payload(note.plan(fails=True).payload)
    await job.reschedule("2h")
    await job.run_now()

    async with app.worker():
        await bench.in_state(job.id, "retry")
        await job.run_now()
        assert await runs(limits, 2) == [30, 30]


async def test_replacing_a_task_takes_the_mark_of_the_new_call(app: Rota, bench: Bench) -> None:
    note, limits = limited(app, "10m", unique=Unique("1m", key="k", on_conflict="replace"))

    first = await note.enqueue()
    assert (await note.options(timeout="30m").enqueue()).id == first.id
    assert await explicit(bench, first.id) == b"timeout"
    assert (await note.options(timeout="20m").enqueue()).id == first.id
    assert await explicit(bench, first.id) is None
    await note.options(timeout="30m").enqueue()

    async with app.worker():
        assert await runs(limits, 1) == [30]


async def test_debounced_calls_take_the_mark_of_the_last_one(app: Rota, bench: Bench) -> None:
    note, _ = limited(app, "10m")
    calls = note.debounce("k", "1h")

    job = await calls.enqueue()
    await calls.options(timeout="30m").enqueue()
    assert await explicit(bench, job.id) == b"timeout"
    await calls.enqueue()
    assert await explicit(bench, job.id) is None


async def test_result_of_an_aggregation_keeps_its_explicit_timeout(app: Rota) -> None:
    note, limits = limited(app, "10m")

    @app.aggregator("item:")
    def join(group: str, tasks: list[Any]) -> Plan[None]:
        plan: Plan[None] = note.options(timeout="30m").plan()
        return plan

    await app.enqueue("item:one", {}, group="g")
    async with app.worker(group_grace="1s", group_max_size=1):
        assert await runs(limits, 1) == [30]


async def test_task_that_a_stopping_worker_hands_back_keeps_its_mark(app: Rota) -> None:
    began, limits = asyncio.Event(), list[float]()

    @app.task("wait:once", timeout="10m")
    async def wait(context: Context) -> None:
        left = context.time_left
        assert left is not None
        limits.append(round(left / timedelta(minutes=1), 1))
        began.set()
        await asyncio.sleep(0 if len(limits) > 1 else 600)

    await wait.options(timeout="30m").enqueue()
    async with app.worker(shutdown_timeout=0):
        await asyncio.wait_for(began.wait(), 30)
    async with app.worker():
        assert await runs(limits, 2) == [30, 30]
