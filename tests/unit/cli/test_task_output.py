"""Commands of tasks print what their files hold, at 80 and 200 columns, in English and Chinese."""

from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len

from rota.cli.task.listing import Listing, RunningPlace, print_list
from rota.cli.task.one_task import InspectedTask, print_task
from rota.inspect import TaskSnapshot
from rota.tasks.job import TaskAttempt, TaskState
from tests.unit.cli.snapshot import NOW, Show, compare, in_each_terminal, printed

TASKS = (
    TaskSnapshot(
        id="0d3c1c0e-7a5e-4a39-8a39-4d3a2e6f5b01",
        queue="mail",
        type="email:welcome",
        payload='{"user_id": 17, "name": "王小明"}'.encode(),
        state=TaskState.PENDING,
        pending_since=NOW - timedelta(seconds=42),
    ),
    TaskSnapshot(
        id="report-2026-01",
        queue="报表",
        type="report:monthly",
        payload=b"\xff\x00",
        state=TaskState.RETRY,
        retried=3,
        max_retry=5,
        last_error="连接数据库超时: could not connect to db-1.internal:5432 within 5 seconds",
        last_failed_at=NOW - timedelta(minutes=3),
        next_process_at=NOW + timedelta(minutes=2, seconds=5),
        timeout=timedelta(minutes=30),
        retention=timedelta(days=1),
        headers={"trace": "abc"},
        progress=b'{"done": 3, "total": 4, "text": "pages", "at": 1}',
        log="开始\n\x1b[31mpage 3\n".encode(),
        traceback='Traceback (most recent call last):\n  File "a.py", line 1, in run\nTimeoutError',
        attempts=(
            TaskAttempt(
                number=1,
                outcome="failed",
                host="host-1",
                pid=41,
                started_at=NOW - timedelta(hours=1),
                ended_at=NOW - timedelta(minutes=59),
                error="超时",
            ),
            TaskAttempt(number=2, worker="w2", started_at=NOW - timedelta(minutes=3)),
        ),
    ),
    TaskSnapshot(id="lost", queue="mail", type="", payload=b"", state=TaskState.ACTIVE, is_dangling=True),
)


def show_list() -> None:
    print_list(Listing(TASKS, 1200), NOW, several_states=True)


ACTIVE = [
    replace(TASKS[0], state=TaskState.ACTIVE, pending_since=None),
    replace(TASKS[0], state=TaskState.ACTIVE, id="report-2026-01", type="报表:月度"),
    TASKS[2],
]
RUNNING = (
    RunningPlace("mail", TASKS[0].id, "rota-1", "web-01.example.internal", 4001, NOW - timedelta(minutes=3)),
    RunningPlace("mail", "report-2026-01", "5d1c7a0e", "go-1", 7, NOW - timedelta(hours=2)),
)


def show_active_tasks() -> None:
    print_list(Listing(tuple(ACTIVE), 3, running=RUNNING), NOW, several_states=False)


def show_tasks_of_several_states() -> None:
    print_list(Listing((TASKS[1], *ACTIVE), 4, running=RUNNING), NOW, several_states=True)


def show_task() -> None:
    print_task(InspectedTask.of(TASKS[1], ()), NOW)


def show_running_task() -> None:
    print_task(InspectedTask.of(ACTIVE[0], RUNNING[:1]), NOW)


def show_archived_task() -> None:
    archived = replace(TASKS[0], state=TaskState.ARCHIVED, pending_since=None, archived_at=NOW - timedelta(hours=3))
    print_list(Listing((archived,), 1), NOW, several_states=False)
    print_task(InspectedTask.of(archived, ()), NOW)


@in_each_terminal(
    show_list, show_active_tasks, show_tasks_of_several_states, show_task, show_running_task, show_archived_task
)
def test_output_is_as_in_its_file(show: Show, width: int, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(show, width, language, monkeypatch)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("show", [show_list, show_active_tasks, show_tasks_of_several_states])
def test_table_in_a_terminal_of_80_columns_is_not_wider(
    show: Show, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(show, 80, language, monkeypatch).splitlines()
    assert max(map(cell_len, lines)) <= 80
