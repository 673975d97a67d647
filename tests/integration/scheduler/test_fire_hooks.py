"""The enqueue middleware of an app runs around the tasks that its schedules fire."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from rota.app import Rota
from rota.schedule.definition import ScheduleDefinition
from rota.scheduler.embedded_scheduler import EmbeddedScheduler
from rota.tasks.job import Plan
from rota.wire.message import unpack
from tests.integration.scheduler.conftest import Hand, eventually


def on_demand(**words: Any) -> ScheduleDefinition:
    return ScheduleDefinition.read({"name": "s", "task_type": "t", "kind": "wait", **words})


def scheduler(app: Rota, **words: Any) -> EmbeddedScheduler:
    return app.scheduler(schedules=[on_demand(**words)])


async def headers(hand: Hand, queue: str = "default") -> list[dict[str, str]]:
    keys = hand.broker.keys.queue(queue)
    found = [await hand.broker.admin.execute("HGET", keys.task(id), "msg") for id in await hand.pending(queue)]
    return [dict(unpack(message).headers) for message in found]


async def test_task_of_a_schedule_has_the_headers_of_the_middleware(app: Rota, hand: Hand) -> None:
    seen: list[str] = []

    @app.enqueue_middleware
    def plain(plan: Plan[Any]) -> Iterator[Plan[Any]]:
        yield plan.with_headers({"trace": "1"})
        seen.append(plan.type)

    @app.enqueue_middleware
    async def waiting(plan: Plan[Any]) -> AsyncIterator[Plan[Any]]:
        yield plan.with_headers({"tenant": "2"})

    async with scheduler(app, headers={"own": "3"}):
        run = await app.schedule_handle("s").run()
        assert await headers(hand) == [{"own": "3", "trace": "1", "tenant": "2"}]
    assert await hand.pending() == [run.id]
    assert seen == ["t"]


async def test_middleware_runs_for_each_task_of_a_run_and_may_choose_the_queue(app: Rota, hand: Hand) -> None:
    @app.enqueue_middleware
    def elsewhere(plan: Plan[Any]) -> Iterator[Plan[Any]]:
        yield plan.updated(queue="low").with_headers({"part": str(len(plan.payload))})

    async with scheduler(app, fan_out=2):
        run = await app.schedule_handle("s").run()
        assert run.queue == "low"
        assert len(await headers(hand, "low")) == 2
        second = await app.schedule_handle("s").run()  # overlap is skip, and the first one is looked for in its queue
        assert (second.outcome, second.skip_reason) == ("skipped", "overlap")


async def test_run_whose_middleware_fails_is_refused(app: Rota, hand: Hand) -> None:
    @app.enqueue_middleware
    def failing(plan: Plan[Any]) -> Iterator[Plan[Any]]:
        if plan.type == "t":
            raise ValueError("no tenant")
        yield plan

    async with scheduler(app) as running:
        run = await app.schedule_handle("s").run()
        assert (run.outcome, run.skip_reason) == ("skipped", "refused")
        assert "no tenant" in run.error

        async def is_counted() -> bool:
            return running.status().tally.skipped["refused"] == 1

        await eventually(is_counted)
    assert await hand.pending() == []
