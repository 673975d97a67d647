"""The small examples do what they say: each is run on a real server."""

import json
from collections.abc import AsyncIterator, Callable
from types import ModuleType

import pytest

from examples import around, asynq_style, embedding, enqueueing, face, failing, groups, hello, running
from rota import Enqueued, ResultError, TaskFailed, TaskNotFound, TaskState

On = Callable[[ModuleType], ModuleType]


@pytest.fixture
async def on_server(redis_url: str) -> AsyncIterator[On]:
    """Moves an example to a fresh database, and closes its connections after the test."""
    moved: list[ModuleType] = []

    def move(example: ModuleType) -> ModuleType:
        example.app.settings = example.app.settings.updated(url=redis_url)
        moved.append(example)
        return example

    yield move
    for example in moved:
        await example.app.aclose()


async def test_hello_prints_the_result(on_server: On, capsys: pytest.CaptureFixture[str]) -> None:
    await on_server(hello).main()

    assert capsys.readouterr().out == "user 7 is welcome (sv)\n"


async def test_an_embedded_worker_injects_what_the_lifespan_made(on_server: On) -> None:
    assert await on_server(embedding).main() == 250


async def test_tasks_can_be_enqueued_for_later(on_server: On) -> None:
    jobs = await on_server(enqueueing).later()

    states = [(await job.info()).state for job in jobs]
    assert states == [TaskState.PENDING, TaskState.SCHEDULED, TaskState.SCHEDULED, TaskState.PENDING]
    assert (jobs[2].queue, jobs[3].id) == ("low", "report-7")


async def test_a_unique_task_is_queued_once(on_server: On) -> None:
    assert await on_server(enqueueing).at_most_once()


async def test_calls_that_follow_one_another_become_one_run(on_server: On) -> None:
    assert await on_server(enqueueing).joined()


async def test_many_tasks_go_in_few_requests(on_server: On) -> None:
    assert await on_server(enqueueing).together() == 1000


async def test_a_task_can_be_enqueued_by_its_name_alone(on_server: On) -> None:
    example = on_server(enqueueing)

    task_id = await example.by_name()

    info = await example.app.client.info("images", task_id)
    assert json.loads(info.payload) == {"path": "cat.jpg", "width": 320}


async def test_blocking_code_enqueues_too(on_server: On) -> None:
    example = on_server(enqueueing)

    task_id = example.from_blocking_code()

    assert (await example.app.client.info("default", task_id)).state is TaskState.PENDING


async def test_one_may_change_ones_mind(on_server: On) -> None:
    await on_server(enqueueing).change_your_mind()


async def test_an_error_that_is_never_retried_ends_the_task(on_server: On) -> None:
    example = on_server(failing)
    async with example.app.worker():
        job = await example.charge.enqueue(7, 200_000)

        with pytest.raises(TaskFailed, match="order 7"):
            await job.result(timeout="10s")

        assert (await job.info()).retried == 0


async def test_a_task_that_gives_up_is_archived_and_a_revoked_one_is_gone(on_server: On) -> None:
    example = on_server(failing)
    async with example.app.worker():
        dead = await example.poll.enqueue("dead:news")
        with pytest.raises(TaskFailed, match="gone"):
            await dead.result(timeout="10s")
        empty = await example.poll.enqueue("")
        with pytest.raises((ResultError, TaskNotFound)):  # the second where it ended before anybody listened
            await empty.result(timeout="10s")

        assert (await dead.info()).state is TaskState.ARCHIVED
        with pytest.raises(TaskNotFound):
            await empty.info()


async def test_asking_for_another_time_costs_no_retry(on_server: On) -> None:
    example = on_server(failing)
    async with example.app.worker():
        job = await example.poll.options(headers={"busy": "yes"}).enqueue("news")
        info = await job.info()
        while info.state is not TaskState.RETRY:
            info = await job.info()

        assert info.retried == 0


async def test_code_around_a_call_sees_it_and_headers_travel(on_server: On) -> None:
    example = on_server(around)
    async with example.app.worker():
        job = await example.render.enqueue("/index")

        assert await job.result(timeout="10s") == "/index for web-1"

    assert example.timings["page:render"] >= 0


async def test_a_raw_handler_takes_a_family_of_types(on_server: On) -> None:
    example = on_server(asynq_style)
    async with example.app.worker():
        job: Enqueued[None] = await example.app.enqueue("email:welcome:sv", {"user_id": 7}, retention="1m")
        await job.result(timeout="10s")

    assert example.seen == ["email:welcome:sv to 7"]


async def test_the_whole_face_works(on_server: On) -> None:
    example = on_server(face)

    assert await example.main() == [
        "user 7 is welcome (en)",
        "cat.jpg is 320 wide",
        ["report:build", 7],
    ]


async def test_an_address_that_cannot_be_right_is_never_tried_again(on_server: On) -> None:
    example = on_server(face)
    async with example.app.worker(queues={"critical": 1}):
        job = await example.welcome.enqueue(-1)
        with pytest.raises(TaskFailed, match="BadAddress: there is no user -1"):
            await job.result(timeout="10s")


async def test_a_group_becomes_one_task(on_server: On) -> None:
    assert await on_server(groups).main() == "page-7: Ann, Bo, Cy"


async def test_a_running_task_tells_how_far_it_is_and_a_hook_hears_its_result(on_server: On) -> None:
    example = on_server(running)
    async with example.app.worker():
        job = await example.copy_table.enqueue(3)
        assert await job.result(timeout="10s") == 3
    info = await job.info()

    assert example.heard == ["table:copy made 3"]
    assert json.loads(info.progress)["done"] == 3
    assert [line.split(maxsplit=1)[1] for line in info.log.decode().splitlines()] == [
        "row 0 copied",
        "row 1 copied",
        "row 2 copied",
    ]


async def test_a_running_task_can_be_cancelled(on_server: On) -> None:
    example = on_server(running)
    async with example.app.worker():
        assert "the table is being dropped" in await example.stop_it()
