"""The app: registering, and enqueueing by name."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from rota import Context, OptionError, PayloadError, Plan, Retry, Rota, RotaError, RoutingError, Settings
from rota.tasks.context import blank


class Report(BaseModel):
    id: int


def test_an_app_is_made_without_a_server() -> None:
    app = Rota("redis://nowhere.invalid:1/0", key_prefix="mine")

    assert app.settings.broker.url == "redis://nowhere.invalid:1/0"
    assert app.settings.source_of("url") == "code"
    assert app.keys.queues == "mine:queues"
    assert app.keys is app.keys
    assert app.broker_options.key_prefix == "mine"
    assert repr(app) == "<Rota with 0 handlers>"


def test_settings_come_as_an_object_or_a_mapping_and_the_url_wins() -> None:
    settings = Settings(concurrency=3, url="redis://a")

    assert Rota(settings=settings).settings is settings
    assert Rota("redis://b", settings=settings).settings.broker.url == "redis://b"
    assert Rota("redis://b", settings=settings).settings.worker.concurrency == 3
    assert Rota(settings={"concurrency": 4}).settings.worker.concurrency == 4


def test_an_unknown_rule_of_matching_is_refused() -> None:
    with pytest.raises(OptionError, match="Did you mean 'asynq'"):
        Rota(matching="asynk")  # type: ignore[arg-type]


def test_asynqs_prefix_rule_takes_plain_strings() -> None:
    app = Rota(matching="asynq")

    @app.handler("email")
    async def emails(ctx: Context, payload: bytes) -> None: ...

    assert app.find_handler("emailer:send") is not None
    assert app.find_handler("other") is None


async def test_a_handler_gets_the_bytes_of_every_type_under_its_pattern() -> None:
    app = Rota()

    @app.handler("email:", timeout="5s", retry=Retry(max=2))
    async def any_mail(ctx: Context, payload: bytes) -> bytes:
        return ctx.type.encode() + payload

    handler = app.find_handler("email:send:1")
    assert handler is not None
    assert await handler.invoke(blank("email:send:1"), b"\xff", None) == b"email:send:1\xff"
    assert handler.encode_result(b"\xff") == b"\xff"
    assert handler.timeout == timedelta(seconds=5)
    assert handler.retry.max == 2
    assert await any_mail(blank("x"), b"y") == b"xy"  # type: ignore[func-returns-value]
    assert app.modules == []


def test_a_type_is_registered_once() -> None:
    app = Rota()
    app.handler("email:send")(lambda ctx, payload: None)

    with pytest.raises(RoutingError, match="registered already"):
        app.task("email:send")(lambda: None)


def test_a_plan_by_name_takes_what_json_knows_and_bytes() -> None:
    app = Rota()

    assert app.plan("report:build", {"id": 7}) == Plan("report:build", b'{"id":7}')
    assert app.plan("report:build", Report(id=7)).payload == b'{"id":7}'
    assert app.plan("report:build", b"\xff").payload == b"\xff"
    assert app.plan("report:build").payload == b""
    assert app.plan("report:build", delay="5m").options.delay == timedelta(minutes=5)
    with pytest.raises(OptionError, match="Did you mean 'delay'"):
        app.plan("report:build", dealy="5m")  # type: ignore[call-arg]


def test_a_plan_by_name_follows_the_task_if_it_is_registered_here() -> None:
    app = Rota()

    @app.task("report:build", queue="slow")
    async def build(id: int, pages: int = 1) -> None: ...

    plan = app.plan("report:build", {"id": 7}, delay=5)

    assert plan.payload == b'{"id":7,"pages":1}'
    assert plan.options.queue == "slow"
    assert plan.options.delay == timedelta(seconds=5)
    assert app.plan("report:build", Report(id=8)).payload == b'{"id":8,"pages":1}'
    with pytest.raises(PayloadError, match="lacks 'id'"):
        app.plan("report:build", {})


def test_a_plan_for_a_raw_handler_is_not_checked() -> None:
    app = Rota()
    app.handler("email:send")(lambda ctx, payload: None)

    assert app.plan("email:send", {"a": 1}).payload == b'{"a":1}'


def test_process_functions_say_what_a_child_must_import() -> None:
    app = Rota()
    app.task("test:double", run="process")(test_process_functions_say_what_a_child_must_import)

    assert app.modules == [__name__]


def test_nothing_but_registering_needs_no_loop_but_a_client_does() -> None:
    with pytest.raises(RotaError, match="No event loop runs here"):
        _ = Rota().client


async def test_a_client_is_kept_for_its_loop_and_closed_with_the_app() -> None:
    app = Rota("redis://nowhere.invalid:1/0")
    client = app.client

    assert app.client is client
    assert app.sync_client is app.sync_client
    await app.aclose()

    assert app.client is not client
    await app.aclose()
    app.close()


async def test_a_task_by_name_goes_through_the_enqueue_middleware() -> None:
    seen: list[str] = []

    async def note(plan: Plan[Any]) -> AsyncGenerator[None]:
        seen.append(plan.type)
        raise OptionError("stop here")
        yield

    app = Rota(enqueue_middleware=[note])

    with pytest.raises(OptionError, match="stop here"):
        await app.enqueue("report:build", {"id": 7})
    await app.aclose()

    assert seen == ["report:build"]
