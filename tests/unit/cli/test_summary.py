"""The banner: the facts of a start on ten lines."""

import pytest
from rich.text import Text

from rota.cli.summary import Banner
from rota.settings.values import ProcessRange


def banner(**changes: object) -> Banner:
    facts: dict[str, object] = {
        "version": "0.1.0",
        "app": "shop:app",
        "broker": "redis://localhost:6379/0",
        "server": "Valkey 9.1.2",
        "queues": {"critical": 6, "default": 3},
        "strict": False,
        "concurrency": 50,
        "processes": ProcessRange(2, 2),
        "wake_up": "tracking",
        "types": ["email:welcome", "image:resize"],
        "warnings": [],
    }
    return Banner(**{**facts, **changes})  # type: ignore[arg-type]


def plain(shown: Banner) -> str:
    return "\n".join(Text.from_markup(line).plain for line in shown.lines())


def test_a_banner_has_ten_lines() -> None:
    assert len(banner().lines()) == 10


def test_a_banner_says_what_runs_where() -> None:
    text = plain(banner())

    for fact in (
        "shop:app",
        "localhost:6379",
        "Valkey 9.1.2",
        "critical=6",
        "weighted",
        "50",
        "2 processes",
        "tracking",
    ):
        assert fact in text


def test_many_types_are_cut_and_counted() -> None:
    assert "and 4 more" in plain(banner(types=[f"mail:{number}" for number in range(10)]))


def test_a_worker_without_tasks_is_told_to_name_the_modules_that_have_them() -> None:
    assert "name those modules too, rota worker shop:app module_with_tasks" in plain(banner(types=[]))


def test_each_warning_has_its_line() -> None:
    text = plain(banner(warnings=["keys are evicted", "nothing is kept on disk"]))

    assert text.count("warning") == 2


def test_brackets_in_names_are_not_taken_for_colours() -> None:
    assert "mail[bulk]" in plain(banner(queues={"mail[bulk]": 1}))


def test_a_banner_is_in_the_language_of_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    text = plain(banner())

    assert "  队列     critical=6, default=3 (按权重)" in text
    assert "  任务     2 个进程各同时 50 个" in text
    assert "  警告     无" in text
