"""Commands of the server print what their files hold, at 80 and 200 columns, in English and Chinese."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from rich.cells import cell_len
from rich.console import Console

from rota.cli import cron_command, doctor, group_command, metrics_chart, output, queue_steering, worker_steering
from rota.cli.task import acting, many, search_command, undoing, why_command
from rota.errors import BrokerRefused, TaskNotFound
from rota.inspect import (
    AggregationSnapshot,
    BulkFailure,
    BulkProgress,
    DeletionProgress,
    EnqueueEventSnapshot,
    ErrorGroup,
    ErrorPage,
    GroupSnapshot,
    Hit,
    MetricSample,
    Preview,
    Reason,
    RunningSnapshot,
    SearchPage,
    ServerSnapshot,
    TaskRef,
    TrashedTask,
    Waiting,
)
from rota.inspect.doctor import Examination
from rota.inspect.doctor.finding import refused
from rota.inspect.doctor.queues import queues
from rota.inspect.doctor.sample import QueueSample, Sample
from rota.inspect.metric_series import series
from rota.inspect.waiting import cause
from rota.tasks.job import TaskInfo, TaskState
from rota.wire.minute import TypeCounts
from tests.unit.cli.snapshot import NOW, Show, compare, in_each_terminal, printed
from tests.unit.cli.test_inspect_output import QUEUE

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ROTA = ServerSnapshot(
    id="rota-5d1c7a0e-7f6e-4a57-9d3c-6ac4f1b0e2d1",
    host="web-01.example.internal",
    pid=4001,
    concurrency=10,
    queues={"mail:newsletter": 3, "报表": 2, "default": 1},
    strict_priority=False,
    status="active",
    started_at=NOW - timedelta(days=2, hours=3),
    active=4,
    running=(
        RunningSnapshot(
            id="0d3c1c0e-7a5e-4a39-8a39-4d3a2e6f5b01",
            type="email:welcome",
            payload=b"{}",
            queue="mail:newsletter",
            started_at=NOW - timedelta(seconds=42),
            deadline=NOW + timedelta(minutes=29),
        ),
        RunningSnapshot(
            id="report-2026-01",
            type="报表:月度",
            payload=b"{}",
            queue="报表",
            started_at=NOW - timedelta(hours=2, minutes=5),
            deadline=None,
        ),
    ),
    version="0.5.0",
    python_version="3.12.1",
    memory_bytes=71_303_168,
    blocked_by="",
    blocked_for=timedelta(0),
    last_blocked_for=timedelta(0),
)
GO = ServerSnapshot(
    id="5d1c7a0e-7f6e-4a57-9d3c-6ac4f1b0e2d1",
    host="go-1",
    pid=7,
    concurrency=10,
    queues=ROTA.queues,
    strict_priority=False,
    status="stopped",
    started_at=ROTA.started_at,
    active=1,
    running=(replace(ROTA.running[0], id="go-task", started_at=None),),
)
OTHER = replace(
    ROTA,
    id="rota-77",
    pid=4002,
    status="closed",
    queues={"low": 1},
    running=(),
    version="0.4.0",
    blocked_by="task report-2026-01 (报表:月度) in queue 报表",
    blocked_for=timedelta(seconds=12.5),
)
HIT = Hit(
    ref=TaskRef("mail", "0d3c1c0e-7a5e-4a39-8a39-4d3a2e6f5b01"),
    state=TaskState.RETRY,
    at=NOW + 2 * MINUTE,
    type="email:welcome",
    payload=b'{"user_id": 17}',
    error="连接数据库超时: could not connect to db-1.internal:5432 within 5 seconds",
    failed_at=NOW - 3 * MINUTE,
    retried=3,
    max_retry=5,
    group="",
)
HITS = (
    HIT,
    replace(HIT, ref=TaskRef("报表", "report-2026-01"), state=TaskState.ARCHIVED, type="report:monthly", error="boom"),
    replace(HIT, ref=TaskRef("mail", "lost"), state=TaskState.PENDING, type="", error="", at=NOW - HOUR),
)
INFO = TaskInfo(id="report-2026-01", queue="报表", type="report:monthly", payload=b"{}", state=TaskState.RETRY)


class Server:
    """Stands for the app, its inspector and its actions, with fixed answers."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_, **__: self

    def servers(self) -> Awaitable[list[ServerSnapshot]]:
        return _at_once([ROTA, GO, OTHER])

    def queues(self) -> Awaitable[list[str]]:
        return _at_once(["mail", "报表"])

    def queue(self, name: str) -> Awaitable[Any]:
        return _at_once(type("Queue", (), {"size": 1204}))

    def preview(self, targets: object, *, act: object) -> Awaitable[Preview]:
        return _at_once(Preview(1200, True, (INFO, replace(INFO, id="report-2026-02", type="报表:月度"))))

    def bulk(self, *_: object) -> "Server":
        return self

    progress = BulkProgress(
        "delete",
        1200,
        1200,
        1199,
        1,
        failures=(BulkFailure(TaskRef("报表", "report-2026-01"), TaskNotFound("Task report-2026-01 is gone.")),),
        ended=True,
        deletion="019bb000",
        unkept=100,
    )

    async def batches(self, bulk: object) -> AsyncIterator[BulkProgress]:
        yield self.progress

    async def delete_queue(self, queue: str, **_: object) -> AsyncIterator[DeletionProgress]:
        yield DeletionProgress(
            queue=queue, tasks={"pending": 1200, "retry": 4}, keys=1, came_meanwhile=2, others_known=False, is_over=True
        )

    async def deleted(self, **_: object) -> list[TrashedTask]:
        first = TrashedTask(
            id="1",
            deletion="019bb000-0000-7000-8000-000000000001",
            queue="报表",
            task_id="report-2026-01",
            type="report:monthly",
            state="retry",
            score="",
            lock_ms="",
            deleted_at=NOW - HOUR,
            deleted_by="anna@web-01",
            fields={},
        )
        return [first, replace(first, id="2", queue="mail", task_id=HIT.ref.id, type="email:welcome")]

    def groups(self, name: str) -> list[GroupSnapshot]:
        joined = (AggregationSnapshot("1", 3, NOW + MINUTE), AggregationSnapshot("2", 1, NOW + 2 * MINUTE))
        return [GroupSnapshot("user:1", 1200, joined), GroupSnapshot("用户:王小明", 2)]

    def enqueue_events(self, entry: str, **_: object) -> list[EnqueueEventSnapshot]:
        times = (NOW - n * HOUR for n in (0, 1, 24))
        return [EnqueueEventSnapshot(task_id=f"{entry}-{number}", enqueued_at=at) for number, at in enumerate(times)]

    def search(self, *_: object, **__: object) -> Iterator[SearchPage]:
        yield SearchPage(hits=HITS, scanned=1200, total=5000, cursor="eyJzIjoxfQ", unread=("asynq:{mail}:retry",))

    def errors(self, *_: object, **__: object) -> Iterator[ErrorPage]:
        group = ErrorGroup(
            fingerprint="a", type="email:welcome", exception="TimeoutError", place="app/mail.py send",
            line="app/mail.py:17 in send", text=HIT.error, tasks=1200, queues={"mail": 1200}, states={"retry": 1200},
            first_at=NOW - 20 * HOUR, last_at=NOW - 3 * MINUTE, trend=tuple(n % 7 for n in range(24)), sample=HIT,
        )  # fmt: skip
        one = replace(group, type="报表:月度", tasks=1, text="boom", line="", trend=(*[0] * 23, 1))
        yield ErrorPage(groups=(group, one), tasks=1201, ungrouped=1, scanned=5000, total=5000)

    def why(self, *_: object, **__: object) -> Waiting:
        causes = (
            cause(Reason.QUEUE_PAUSED, queue="报表", since=NOW - HOUR, by="anna", why="搬家"),
            cause(Reason.NO_SERVER, queue="报表", servers=1),
            cause(Reason.BEHIND, queue="报表", ahead=1, at_least=False, per_second=2.0, forecast=timedelta(seconds=1)),
        )
        return Waiting(queue="报表", id="report-2026-01", state=TaskState.PENDING, type="report:monthly", causes=causes)


async def _at_once(value: Any) -> Any:
    return value


def _with_app(url: str | None, act: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await act(Server())

    return asyncio.run(run())


@contextmanager
def _opened(url: str | None) -> Generator[Server]:
    yield Server()


@pytest.fixture(autouse=True)
def with_fixed_answers(monkeypatch: pytest.MonkeyPatch, in_utc: None) -> None:
    monkeypatch.setattr(output, "now", lambda: NOW)
    for module in (many, queue_steering, undoing, worker_steering):
        monkeypatch.setattr(module, "with_app", _with_app)
    for module in (cron_command, group_command, search_command, why_command):
        monkeypatch.setattr(module, "opened", _opened)


def show_workers() -> None:
    worker_steering.list_workers()


def show_workers_with_short_names() -> None:
    servers = [replace(each, host="web-1", queues={"low": 1}) for each in (ROTA, GO)]
    worker_steering._print_workers(servers, NOW)


def show_running_tasks() -> None:
    worker_steering.list_workers(running=True)


def show_no_running_tasks() -> None:
    worker_steering._print_running([OTHER], NOW)


def show_stop_of_workers() -> None:
    async def stop(*_: object, **__: object) -> Any:
        return type("Answer", (), {"is_obeyed": True})

    with patch.object(Server, "stop_worker", stop, create=True):
        worker_steering.stop(everything=True)


def show_groups() -> None:
    group_command.list_groups("mail")


def show_history() -> None:
    cron_command.history(["1f0c9e1a-7f6e-4a57-9d3c-6ac4f1b0e2d0"])


def show_search() -> None:
    search_command.search(["state:retry,archived"])


def show_errors() -> None:
    search_command.errors()


def show_why() -> None:
    why_command.why("report-2026-01", queue="报表")


def show_deletion_of_tasks() -> None:
    acting.delete(queue="报表", everything=True, state="retry")


def show_deleted_tasks() -> None:
    undoing.undo(listed=True)


def show_deletion_of_queues() -> None:
    queue_steering.delete(["mail"])


def show_metrics() -> None:
    counts = TypeCounts(
        {
            "email:welcome": {"n": 9, "succeeded": 8, "retried": 1, "r12": 9, "w3": 9, "crashed": 2},
            "报表:月度": {"n": 1, "failed": 1, "r20": 1, "w20": 1},
        },
        {"n": 1, "succeeded": 1},
    )
    start = NOW - HOUR
    samples = [
        MetricSample(
            queue=queue,
            at=start + n * MINUTE,
            counts=counts if n % 3 else TypeCounts({}, {}),
            sizes={"pending": n},
            elsewhere={"processed": 5, "failed": 0},
        )
        for n in range(60)
        for queue in ("mail", "报表")
    ]
    metrics_chart.show(series(samples, since=start, until=NOW, step=MINUTE), queue=None, type=None)


def show_examination() -> None:
    full = replace(QUEUE, queue="报表", archived=9_900)
    paused = replace(QUEUE, is_paused=True, paused_at=NOW - HOUR)
    looks = [
        QueueSample(queue=each, tasks=dict.fromkeys(TaskState, ()), aggregations=(), archived=())
        for each in (paused, full)
    ]
    sample = Sample(queues=looks, servers=(GO,))
    refusal = refused(BrokerRefused("The user of the URL may not run INFO."))
    doctor._show(Examination([refusal, *queues(sample, 10_000)], queues=2, servers=1), Console(highlight=False))


def show_health() -> None:
    doctor._show(Examination([], queues=1, servers=2), Console(highlight=False))


@in_each_terminal(
    show_workers, show_workers_with_short_names, show_running_tasks, show_no_running_tasks,
    show_stop_of_workers, show_groups, show_history, show_search, show_errors, show_why,
    show_deletion_of_tasks, show_deleted_tasks, show_deletion_of_queues, show_metrics, show_examination, show_health,
)  # fmt: skip
def test_output_is_as_in_its_file(show: Show, width: int, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(show, width, language, monkeypatch)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "show", [show_workers, show_running_tasks, show_groups, show_history, show_search, show_errors, show_deleted_tasks]
)
def test_tables_fit_into_80_columns(show: Show, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(show, 80, language, monkeypatch).splitlines()
    assert max(cell_len(line) for line in lines if not line.startswith(("warning", "警告"))) <= 80
