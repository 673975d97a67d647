"""A registered task, used as its function and as something to enqueue."""

import pickle
from datetime import timedelta
from typing import Annotated, Any

import pytest

from rota import (
    INJECTED,
    Context,
    Debounce,
    Depends,
    Job,
    OptionError,
    PayloadError,
    Plan,
    Rota,
    RoutingError,
    SyncJob,
    TaskState,
    Unique,
)
from rota.tasks.context import blank, enter, leave

app = Rota()


@app.task("email:welcome", queue="critical", timeout="30s", headers={"a": "1"})
async def welcome(user_id: int, locale: str = "en") -> str:
    """Say hello."""
    return f"{user_id} {locale}"


@app.task("image:resize")
def resize(ctx: Context, path: str) -> str:
    return f"{ctx.type} {path}"


def mailer() -> str:
    return "real"


@app.task("mail:send")
def send(to: str, *, mail: Annotated[str, Depends(mailer)] = INJECTED) -> str:
    return f"{mail} {to}"


class Kept:
    """Stands for the app's way to enqueue."""

    def __init__(self) -> None:
        self.plans: list[Plan[Any]] = []

    async def send(self, plan: Plan[Any]) -> Job[Any]:
        self.plans.append(plan)
        return Job("x", "q", plan.type, TaskState.PENDING, decode=plan.decode)

    def send_sync(self, plan: Plan[Any]) -> SyncJob[Any]:
        self.plans.append(plan)
        return SyncJob("x", "q", plan.type, TaskState.PENDING, decode=plan.decode)


async def test_a_task_can_be_called_as_the_function_it_is() -> None:
    assert await welcome(7) == "7 en"
    assert welcome.__name__ == "welcome"
    assert welcome.__doc__ == "Say hello."
    assert repr(welcome) == "<Task email:welcome welcome>"


def test_a_direct_call_gets_the_context_that_is_there_or_a_blank_one() -> None:
    assert resize("a.png") == "image:resize a.png"
    context = blank("other:task")
    token = enter(context)
    try:
        assert resize("a.png") == "other:task a.png"
    finally:
        leave(token)
    assert resize.function(blank("given:one"), "a.png") == "given:one a.png"


def test_a_direct_call_needs_what_would_be_injected() -> None:
    assert send("you", mail="fake") == "fake you"
    with pytest.raises(TypeError, match="'mail' is not injected: pass mail="):
        send("you")


def test_a_plan_holds_type_payload_and_options() -> None:
    plan = welcome.plan(7)

    assert (plan.type, plan.payload) == ("email:welcome", b'{"user_id":7,"locale":"en"}')
    assert plan.options is welcome.default_options
    assert plan.options.queue == "critical"
    assert plan.options.timeout == timedelta(seconds=30)
    assert plan.decode is not None
    assert plan.decode(b'"sent"') == "sent"


def test_what_is_injected_is_not_part_of_a_plan() -> None:
    assert resize.plan("a.png").payload == b'{"path":"a.png"}'
    assert send.plan("you").payload == b'{"to":"you"}'
    with pytest.raises(PayloadError, match=r"takes no argument 'mail'. The worker fills it"):
        send.plan("you", mail="mine")


def test_options_make_a_copy_and_leave_the_task() -> None:
    soon = welcome.options(delay="5m", unique="10m", headers={"b": "2"})

    assert soon.plan(7).options.delay == timedelta(minutes=5)
    assert soon.plan(7).options.unique == Unique("10m")
    assert dict(soon.plan(7).options.headers) == {"a": "1", "b": "2"}
    assert welcome.plan(7).options.delay is None
    assert soon.type == welcome.type
    with pytest.raises(OptionError, match="Did you mean 'delay'"):
        welcome.options(dealy="5m")  # type: ignore[call-arg]


def test_keys_take_the_arguments_of_each_call() -> None:
    task = welcome.options(unique=Unique("1m", key="user-{user_id}"))
    joined = welcome.debounce("user-{user_id}", "2s", "10s")

    assert task.plan(7).options.unique == Unique("1m", key="user-7")
    assert joined.plan(8).options.debounce == Debounce("user-8", "2s", "10s")


async def test_enqueue_sends_the_plan() -> None:
    kept = Kept()
    task = welcome.options()
    task._sender = kept

    job = await task.enqueue(7)
    other = task.enqueue_sync(8)

    assert [plan.payload for plan in kept.plans] == [b'{"user_id":7,"locale":"en"}', b'{"user_id":8,"locale":"en"}']
    assert (job.id, job.created, other.state) == ("x", True, "pending")


async def test_nothing_is_sent_when_the_arguments_do_not_fit() -> None:
    kept = Kept()
    task = welcome.options()
    task._sender = kept

    with pytest.raises(PayloadError):
        await task.enqueue("seven")  # type: ignore[arg-type]

    assert kept.plans == []


def test_a_task_is_pickled_as_its_name() -> None:
    assert pickle.loads(pickle.dumps(resize)) is resize


def test_arguments_can_come_as_one_mapping_or_ready_bytes() -> None:
    assert welcome.plan_of({"user_id": 7}).payload == b'{"user_id":7,"locale":"en"}'
    assert welcome.plan_of(b'{"user_id": 7}').payload == b'{"user_id": 7}'
    with pytest.raises(PayloadError, match="give them as a mapping, not as list"):
        welcome.plan_of([7])
    with pytest.raises(PayloadError, match="lacks 'user_id'"):
        welcome.plan_of(None)
    with pytest.raises(PayloadError, match="does not fit"):
        welcome.plan_of(b"{}")


@pytest.mark.parametrize("name", ["delay", "apply_async", "send", "kiq", "defer"])
def test_the_verbs_of_other_queues_are_answered_with_ours(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'. Enqueue with `await task.enqueue"):
        getattr(welcome, name)
    with pytest.raises(AttributeError, match=r"no attribute 'colour'$"):
        _ = welcome.colour  # type: ignore[attr-defined]


def test_a_task_in_place_of_the_name_of_its_type_is_told_its_own_method() -> None:
    for given in (welcome, lambda: None):
        with pytest.raises(RoutingError, match=r"by its own method: task.enqueue\("):
            Rota().plan(given)  # type: ignore[arg-type]


def with_fetch(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Any]]:
    """Return a task whose function has a `timeout` of its own, and what its calls ask of the app."""
    pages, asked = Rota(), []

    async def call(plan: Plan[Any], timeout: Any) -> None:
        asked.append((plan.payload, timeout))

    monkeypatch.setattr(pages, "call", call)
    monkeypatch.setattr(pages, "call_sync", lambda *what: asked.append(what))

    @pages.task("page:fetch")
    def fetch(url: str, timeout: float | None = 30) -> None: ...

    return fetch, asked


@pytest.mark.parametrize("timeout", ["10s", None])
async def test_a_timeout_that_may_be_meant_for_the_function_is_refused(
    monkeypatch: pytest.MonkeyPatch, timeout: Any
) -> None:
    fetch, asked = with_fetch(monkeypatch)
    with pytest.raises(OptionError, match="has a parameter 'timeout', so it is not clear which one is meant"):
        await fetch.call("/", timeout=timeout)
    with pytest.raises(OptionError, match=r"app.call_sync\(task.plan"):
        fetch.call_sync("/", timeout=timeout)
    assert not asked


async def test_a_function_with_a_timeout_can_be_called_where_it_is_clear_which_one_is_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch, asked = with_fetch(monkeypatch)
    await fetch.call("/")
    await fetch.call("/", 7, timeout="10s")
    await fetch.call("/", None, timeout=None)
    assert asked == [
        (b'{"url":"/","timeout":30.0}', None),
        (b'{"url":"/","timeout":7.0}', "10s"),
        (b'{"url":"/","timeout":null}', None),
    ]
