"""`rota task search`, `errors` and `why`, on a server with tasks as Asynq stores them."""

import json
import sys
from collections.abc import Iterator

import pytest

from rota.inspect import SearchPage, SyncInspector
from rota.inspect.query_parser import parse
from rota.inspect.task_search import Search
from rota.wire.keys import Keys
from tests.integration.cli.conftest import Done, Run
from tests.integration.inspect.state import State
from tests.servers.clients import client


@pytest.fixture
def state(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    monkeypatch.setenv("ROTA_URL", redis_url)
    raw = client(redis_url)
    yield State(raw)
    raw.close()


@pytest.fixture
def task(command: Run, state: State) -> Run:
    """Run `rota task ...` on five tasks."""
    keys = state.queue("mail")
    for number in range(3):
        state.task(
            keys,
            f"m{number}",
            "retry",
            type="email:welcome",
            error_msg=f"ConnectError: port {number}",
            payload=b'{"user":7}',
        )
    state.task(keys, "p", "pending", type="email:bye")
    state.task(state.queue("low"), "bytes", "archived", type="report", payload=b"\xff")

    def run(*words: str, typed: str = "") -> Done:
        return command("task", *words, typed=typed)

    return run


def test_search_lists_the_tasks_and_says_how_many_it_looked_at(task: Run) -> None:
    done = task("search", "type:email:*", "-state:pending")
    assert done.code == 0
    assert [line.split()[:4] for line in done.out.splitlines()[1:]] == [
        ["mail", f"m{number}", "email:welcome", "retry"] for number in range(3)
    ]
    assert "3 tasks found; looked at 4 of 4." in done.err


def test_search_that_finds_nothing_has_the_exit_code_1(task: Run) -> None:
    assert task("search", "nothing").code == 1


def test_search_that_begins_with_a_negated_term_is_no_option(task: Run) -> None:
    assert [hit["id"] for hit in task("search", "-type:email:*", "--json").json["hits"]] == ["bytes"]


def test_search_goes_on_from_its_cursor(task: Run) -> None:
    first = task("search", "state:retry", "--limit", "2", "--json").json
    assert [hit["id"] for hit in first["hits"]] == ["m0", "m1"]
    rest = task("search", "--cursor", first["cursor"], "--json").json
    assert [hit["id"] for hit in rest["hits"]] == ["m2"]
    assert rest["cursor"] is None
    assert "--cursor" in task("search", "state:retry", "--limit", "2").err


def test_interrupted_search_prints_what_it_has_found(task: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: SyncInspector, *args: object, **words: object) -> Iterator[SearchPage]:
        yield next(self.batches(Search(Keys(), parse("state:retry"), limit=1)))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SyncInspector, "search", interrupted)
        done = task("search", "state:retry", "--json")
    assert done.code == 130
    assert [hit["id"] for hit in done.json["hits"]] == ["m0"]
    assert len(task("search", "--cursor", done.json["cursor"], "--json").json["hits"]) == 2


@pytest.mark.parametrize("options", [(), ("--json-lines",)])
def test_tasks_are_printed_before_the_next_page_is_read(
    task: Run, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[list[str]] = []

    def watched(self: SyncInspector, *args: object, **words: object) -> Iterator[SearchPage]:
        for number in range(3):
            page = next(self.batches(Search(Keys(), parse(f"id:m{number}"))))
            yield page
            printed.append([f"m{each}" for each in range(3) if f"m{each}" in sys.stdout.buffer.getvalue().decode()])

    monkeypatch.setattr(SyncInspector, "search", watched)
    done = task("search", "type:email:*", *options)
    assert printed == [["m0"], ["m0", "m1"], ["m0", "m1", "m2"]]
    if options:
        assert [json.loads(line)["id"] for line in done.out.splitlines()] == ["m0", "m1", "m2"]
    else:
        assert [line.split()[1] for line in done.out.splitlines()] == ["id", "m0", "m1", "m2"]
    assert "3 tasks found" in done.err


def test_json_and_lines_of_it_exclude_each_other(task: Run) -> None:
    assert task("search", "x", "--json", "--json-lines").code == 2


def test_json_of_a_search_has_the_whole_hit(task: Run) -> None:
    found = task("search", "m1", "--json").json
    [hit] = found["hits"]
    assert (hit["queue"], hit["state"], hit["payload"], hit["error"]) == (
        "mail",
        "retry",
        '{"user":7}',
        "ConnectError: port 1",
    )
    assert (found["scanned"], found["total"], found["unread"]) == (5, 5, [])
    [other] = task("search", "id:bytes", "--json").json["hits"]
    assert other["payload"] == {"base64": "/w=="}


def test_fault_of_a_query_is_pointed_at(task: Run) -> None:
    done = task("search", "type:x stat:retry")
    assert done.code == 2
    lines = done.err.splitlines()
    assert lines[-2:] == ["  type:x stat:retry", "         ^^^^"]
    assert "Did you mean 'state'?" in lines[0]


def test_fault_behind_wide_characters_is_pointed_at_too(task: Run) -> None:
    assert task("search", "中文 stat:x").err.splitlines()[-1] == "       ^^^^"


def test_quotes_that_the_shell_removed_are_noticed(task: Run) -> None:
    done = task("search", "error:connection refused", "state:retry")
    assert done.code == 2
    assert "single quotes" in done.err


def test_errors_are_grouped(task: Run) -> None:
    done = task("errors")
    [head, row] = done.out.splitlines()
    assert head.split()[:3] == ["tasks", "type", "last"]
    assert row.split()[:2] == ["3", "email:welcome"]
    assert "ConnectError: port <n>" in row
    assert "3 failed tasks with 1 error; looked at 4 of 4." in done.err


def test_json_of_errors_has_trend_and_sample(task: Run) -> None:
    [group] = task("errors", "--json").json["groups"]
    assert (group["exception"], group["tasks"], len(group["trend"])) == ("ConnectError", 3, 24)
    assert group["sample"]["type"] == "email:welcome"


def test_why_finds_the_queue_of_a_task_and_says_the_causes(task: Run) -> None:
    done = task("why", "p")
    assert done.code == 0
    assert done.out.splitlines()[0] == "email:bye  pending  mail  p"
    assert done.out.splitlines()[1].startswith("- No worker serves the queue mail (0 live servers in all).")


def test_why_speaks_chinese_in_a_chinese_locale(task: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    assert "没有 worker 服务于队列 mail" in task("why", "p").out


def test_fault_of_a_query_is_told_in_chinese(task: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_LANG", "zh")
    assert "没有字段 'stat'" in task("search", "stat:x").err
    assert "OR 不是查询语言的词" in task("search", "a OR b").err


def test_json_of_why_has_reasons_with_facts(task: Run) -> None:
    found = task("why", "m0", "--queue", "mail", "--json").json
    assert [cause["reason"] for cause in found["causes"]] == ["no-server", "retry-later"]
    assert found["causes"][1]["facts"]["retried"] == 0


def test_why_of_an_unknown_task_is_an_error(task: Run) -> None:
    done = task("why", "nobody")
    assert done.code == 1
    assert "No queue has a task 'nobody'" in done.err


def test_why_asks_for_the_queue_if_several_have_the_task(task: Run, state: State) -> None:
    state.task(state.queue("low"), "p", "pending")
    done = task("why", "p")
    assert done.code == 2
    assert "--queue: low, mail" in done.err
