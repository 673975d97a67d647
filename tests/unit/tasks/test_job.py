"""What came of an enqueue, and what can be done with it."""

import inspect
from typing import Any

import pytest

from rota import Job, Plan, Rota, SyncJob, Task, TaskState
from rota.client import Client, SyncClient
from rota.errors import PayloadError
from rota.tasks.job import read_result


class Recorded:
    """Notes what is asked of a client."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def note(self, *what: Any) -> Any:
        self.asked.append(what)
        return b'{"sent":true}' if what[0] == "result" else None


class Actions(Recorded):
    def __getattr__(self, name: str) -> Any:
        async def act(*args: Any) -> Any:
            return self.note(name, *args)

        return act


class SyncActions(Recorded):
    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.note(name, *args)


ASKED = [
    ("result", "q", "x", "10s"),
    ("info", "q", "x"),
    ("cancel", "q", "x", "why"),
    ("run_now", "q", "x"),
    ("reschedule", "q", "x", "5m"),
    ("update_payload", "q", "x", b"{}"),
]


async def test_an_enqueued_task_asks_its_client() -> None:
    actions = Actions()
    job: Job[Any] = Job("x", "q", "a:b", TaskState.PENDING, client=actions)

    assert await job.result("10s") == {"sent": True}
    await job.info()
    await job.cancel("why")
    await job.run_now()
    await job.reschedule("5m")
    await job.update_payload(b"{}")

    assert actions.asked == ASKED


def test_an_enqueued_task_of_blocking_code_asks_its_client() -> None:
    actions = SyncActions()
    job: SyncJob[Any] = SyncJob("x", "q", "a:b", TaskState.PENDING, client=actions)

    assert job.result("10s") == {"sent": True}
    job.info()
    job.cancel("why")
    job.run_now()
    job.reschedule("5m")
    job.update_payload(b"{}")

    assert actions.asked == ASKED


def test_each_operation_of_a_job_is_tested_above() -> None:
    untested = sorted(methods(Job) - {asked[0] for asked in ASKED})

    assert not untested, f"Name these operations in ASKED, and call them in the two tests above: {untested}"


def test_what_was_there_before_is_said() -> None:
    job: Job[Any] = Job("x", "q", "a:b", TaskState.RETRY, created=False, client=Actions())

    assert repr(job) == "<Job a:b x in q: retry (existed)>"


def test_a_result_is_read_by_its_task_or_as_json() -> None:
    job: Job[Any] = Job("x", "q", "a:b", None)
    assert read_result(job, b"", None) is None
    assert read_result(job, b"[1]", None) == [1]
    assert read_result(job, b"abc", bytes.decode) == "abc"


def test_a_result_that_cannot_be_read_names_its_task() -> None:
    named = r"Task x in queue 'q' has succeeded, but .* {}.*app.client.result\('q', 'x'\)` returns them as they are"
    job: Job[Any] = Job("x", "q", "a:b", None)
    with pytest.raises(PayloadError, match=named.format("The stored result is not valid JSON: expected")):
        read_result(job, b"not json", None)
    app = Rota()

    @app.task("number:add")
    def add(a: int) -> int:
        return a

    with pytest.raises(PayloadError, match=named.format("The stored result is not what add is said to return")):
        read_result(job, b'"seven"', add.plan(1).decode)


def test_a_plan_can_get_other_options_and_headers() -> None:
    plan: Plan[Any] = Plan("a:b", b"{}").with_headers({"x": "1"}).updated(queue="q").with_headers({"x": "2", "y": "3"})

    assert dict(plan.options.headers) == {"x": "2", "y": "3"}
    assert plan.options.queue == "q"


TAKE_ASYNC_ITERABLES_TOO = {"enqueue_many", "enqueue_stream"}


def test_both_faces_have_the_same_methods_with_the_same_arguments_and_docs() -> None:
    for first, second in ((Job, SyncJob), (Client, SyncClient)):
        for name in methods(first) & methods(second) - TAKE_ASYNC_ITERABLES_TOO:
            ours, theirs = getattr(first, name), getattr(second, name)
            assert parameters(ours) == parameters(theirs), name
            assert inspect.getdoc(ours), name
    assert public(Job) == public(SyncJob)
    assert public(Client) - {"aclose"} == public(SyncClient) - {"close"}
    assert {name for name in public(Task) if f"{name}_sync" in public(Task)} == {"enqueue", "call", "job"}


@pytest.mark.parametrize("name", ["enqueue", "call", "job"])
def test_methods_for_blocking_code_take_what_the_others_take(name: str) -> None:
    for cls in (Rota, Task):
        assert parameters(getattr(cls, name)) == parameters(getattr(cls, f"{name}_sync"))


def parameters(method: Any) -> list[str]:
    return [str(each) for each in inspect.signature(method).parameters.values()]


def methods(cls: type) -> set[str]:
    return {name for name in public(cls) if callable(getattr(cls, name))}


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}
