"""`rota health` translates the answers of workers and schedulers, which are in English."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from rota.cli.language import translated
from rota.health.process_status import ProcessStatus, live, ready

NOW = 1000.0
WELL = ProcessStatus(worker="w", pid=7, status="active", taken_at=NOW, beat_at=NOW, turned_at=NOW)
TROUBLES: list[dict[str, object]] = [
    {},
    {"status": "new"},
    {"status": "stopped"},
    {"status": "closed"},
    *({name: NOW - 20} for name in ("beat_at", "fetch_lost_at", "record_lost_at", "tick_lost_at", "turned_at")),
    {"taken_at": NOW - 9},
    {"taken_at": NOW - 999},
    {"turned_at": NOW - 5, "blocked_by": "task mail:send"},
]


def lines() -> Iterator[str]:
    for kind in ("worker", "scheduler"):
        for trouble in TROUBLES:
            process = replace(WELL, kind=kind, **trouble)  # type: ignore[arg-type]
            yield from (*live([process], NOW).lines, *ready([process], NOW).lines)
    yield from (*live([], NOW).lines, *ready([], NOW).lines)


@pytest.mark.parametrize("line", sorted({*lines()}))
def test_line_of_a_process_is_translated(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    assert not {*re.findall("[a-z]+", translated(line))} - {"worker", "task", "mail", "send", "s"}


@pytest.mark.parametrize(
    ("note", "wanted"),
    [
        ("it leads", "调度器 7 就绪：它是主调度器"),
        ("process 9 on host leads", "调度器 7 就绪：主调度器是 host 上的进程 9"),
        (
            "it leads, 2 schedules cannot be used (see the log)",
            "调度器 7 就绪：它是主调度器，2 个调度无法使用（见日志）",
        ),
    ],
)
def test_notes_of_a_scheduler_are_translated(note: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    [line] = ready([replace(WELL, kind="scheduler", notes=[note])], NOW).lines
    assert translated(line) == wanted
