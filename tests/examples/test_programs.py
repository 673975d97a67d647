"""The small examples do what they say: each is run on a real server."""

import runpy
from collections.abc import AsyncIterator, Callable
from types import ModuleType

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from examples import embedding, events, face, hello, local_cron, look, search, steering, traced
from rota import TaskFailed
from scripts.tree import ROOT

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


async def test_the_whole_face_works(on_server: On) -> None:
    example = on_server(face)

    assert await example.main() == [
        "user 9 is welcome (en)",
        "user 7 is welcome (en)",
        "cat.jpg is 320 wide",
        ["report:build", 7],
    ]


async def test_an_address_that_cannot_be_right_is_never_tried_again(on_server: On) -> None:
    example = on_server(face)
    async with example.app.worker(queues={"critical": 1}):
        job = await example.welcome.options(retention="1m").enqueue(-1)
        with pytest.raises(TaskFailed, match="BadAddress: there is no user -1"):
            await job.result(timeout="30s")


async def test_callbacks_of_events_count_and_report_failures(on_server: On, capsys: pytest.CaptureFixture[str]) -> None:
    example = on_server(events)
    example.failures.clear()

    async with example.app.worker():
        job = await example.send.options(max_retry=0, retention="1m").enqueue("ann@example.org")
        with pytest.raises(TaskFailed):
            await job.result(timeout="30s")

    assert example.failures == {"mail:send": 1}
    assert f"mail:send {job.id} gave up after 1 attempts: ConnectionError" in capsys.readouterr().out


async def test_look_shows_how_long_each_queue_waits(on_server: On) -> None:
    (line,) = await on_server(look).main()
    assert line.startswith("mail has been waiting for 0:00:")


async def test_search_finds_the_task_and_says_why_it_waits(on_server: On) -> None:
    lines = await on_server(search).main()

    assert lines == ["mail:send in default is pending: no-server, behind", "looked at 100 of 100"]


async def test_enqueue_wait_and_run_are_traced(on_server: On) -> None:
    kept = InMemorySpanExporter()
    traced.provider.add_span_processor(SimpleSpanProcessor(kept))

    await on_server(traced).main()

    spans = {span.name: dict(span.attributes or {}) for span in kept.get_finished_spans()}
    assert set(spans) == {"send default", "wait default", "process default"}
    assert spans["process default"]["mail.domain"] == "example.org"


async def test_a_cron_in_one_process_runs_its_functions(capsys: pytest.CaptureFixture[str]) -> None:
    await local_cron.main()

    assert capsys.readouterr().out.splitlines() == [
        "beat runs @every 1s",
        "backup runs 30 2 * * *",
        "report runs every 2 weeks on mon at 09:00",
        "beat",
        "beat",
    ]


def test_times_of_a_schedule_are_those_that_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("examples.cron_times")
    page = (ROOT / "docs/reference/cron.md").read_text(encoding="utf-8")

    printed = capsys.readouterr().out
    assert printed.count("\n") == 3
    assert f"```\n{printed}```" in page


async def test_archived_tasks_run_again_and_waiting_ones_move(
    on_server: On, capsys: pytest.CaptureFixture[str]
) -> None:
    example = on_server(steering)
    jobs = [await example.send.enqueue(f"{n}@example.com") for n in range(3)]
    for job in jobs[:2]:
        await example.app.actions().archive("mail", job.id)
    again = await example.run_archived_again("mail")
    assert (again.done, again.total) == (2, 2)
    assert "2 tasks, such as ['mail:send', 'mail:send']" in capsys.readouterr().out
    moved = await example.move_pending("mail", "slow")
    assert (moved.done, moved.failed) == (3, 0)
    assert (await example.app.inspector().queue("slow")).pending == 3
