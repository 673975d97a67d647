"""`rota queue pause|resume|drain|delete` and `rota worker list|quiet|wake|stop|scale` on a real server."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from rota import Rota
from rota.core.this_process import rota_version
from rota.inspect import Actions, SyncInspector
from rota.settings import origin
from rota.worker.worker import Worker
from tests.integration.cli.conftest import Done, Run
from tests.servers.process import wait_until
from tests.servers.roles import as_role

Do = Callable[..., Done]


@pytest.fixture
def do(command: Run, redis_url: str) -> Do:
    """Run a command as an operator."""
    return lambda *words: command(*words, "--url", as_role(redis_url, "operator"))


@pytest.fixture
def app(redis_url: str) -> Iterator[Rota]:
    with Rota(as_role(redis_url, "producer")) as app:
        yield app


@pytest.fixture
def inspector(redis_url: str) -> Iterator[SyncInspector]:
    with Rota(as_role(redis_url, "inspector")) as app:
        yield app.inspector_sync()


@pytest.fixture
def worker(redis_url: str) -> Iterator[Worker]:
    """A worker in a thread, as another program runs it."""
    import asyncio

    app = Rota(redis_url, settings={"heartbeat": "300ms", "concurrency": 3, "queues": {"mail": 1}})
    started, found = threading.Event(), list[Worker]()

    async def work() -> None:
        worker = Worker(app, app.settings)
        found.append(worker)
        running = asyncio.create_task(worker.run())
        await asyncio.wait([running, asyncio.create_task(worker.ready.wait())], return_when="FIRST_COMPLETED")
        loops.append(asyncio.get_running_loop())
        started.set()
        await running
        await app.aclose()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert started.wait(30)
    yield found[0]
    if thread.is_alive():
        loops[0].call_soon_threadsafe(lambda: None if found[0].stopping else found[0].stop())
    thread.join(30)
    assert not thread.is_alive()


# Queues


def test_queue_is_paused_and_resumed(do: Do, app: Rota) -> None:
    app.enqueue_sync("t", queue="mail")
    paused = do("queue", "pause", "mail", "--for", "both", "--reason", "provider is down")
    assert (paused.code, paused.out) == (0, "Queue mail is paused for workers and producers (provider is down).\n")
    refused = do("enqueue", "t", "{}", "--queue", "mail")
    assert refused.code == 1
    assert "it is paused for producers since" in refused.err
    assert "anna@" in refused.err
    assert " paused " in do("queue", "list").out
    shown = " ".join(do("queue", "inspect", "mail").out.split())
    assert " Producers stopped by anna@" in shown
    assert ": provider is down " in shown
    resumed = do("queue", "resume", "mail")
    assert resumed.out == "Queue mail is resumed. It was paused for workers and producers (provider is down).\n"
    assert do("queue", "resume", "mail").out == "Queue mail was not paused.\n"


@pytest.mark.parametrize("act", ["pause", "drain", "delete"])
def test_unknown_queue_is_an_error_without_a_traceback(do: Do, act: str) -> None:
    done = do("queue", act, "mial")
    assert done.code == 1
    assert "There is no queue 'mial'" in done.err.replace("\n", " ")


def test_wrong_words_are_wrong_use(do: Do, app: Rota) -> None:
    app.enqueue_sync("t", queue="mail")
    assert do("queue", "pause", "mail", "--for", "worker").code == 2
    assert do("queue", "drain", "mail", "--no-wait", "--timeout", "1s").code == 2
    assert do("worker", "quiet").code == 2
    assert do("worker", "quiet", "web1", "--all").code == 2


def test_drain_follows_until_nothing_is_left(do: Do, app: Rota) -> None:
    job = app.enqueue_sync("t", queue="mail")
    late = do("queue", "drain", "mail", "--timeout", "50ms")
    assert late.code == 1
    assert "mail: 1 task left, of which 0 run." in late.err
    assert "No worker serves the queue 'mail', so nothing ends." in " ".join(late.err.split())
    assert "The drain is not done in time" in late.err
    assert do("queue", "drain", "mail", "--no-wait").out.startswith("New tasks for 1 queue are refused")
    assert " draining " in do("queue", "list").out
    app.actions_sync().delete("mail", job.id)
    done = do("queue", "drain", "mail")
    assert (done.code, done.out) == (
        0,
        "Queue mail is empty. New tasks are refused until `rota queue resume mail`.\n",
    )


@pytest.mark.usefixtures("no_settling")
def test_queue_is_deleted_after_a_question(do: Do, app: Rota, inspector: SyncInspector) -> None:
    app.enqueue_sync("t", queue="mail")
    asked = do("queue", "delete", "mail")
    assert asked.code == 1
    assert "Delete mail (1 task) for good?" in asked.out + asked.err
    assert inspector.queues() == ["mail"]
    done = do("queue", "delete", "mail", "--yes")
    assert (done.code, done.out) == (0, "Queue mail is deleted: 1 pending; 0 other keys.\n")
    assert inspector.queues() == []


@pytest.mark.parametrize(
    ("act", "reads", "said"),
    [
        ("drain", "watch_drain", "The drain goes on without this command: new tasks are refused until"),
        (
            "delete",
            "delete_queue",
            "The deletion of queue mail is not done, and the queue stays closed: ",
        ),
    ],
)
def test_ctrl_c_says_how_to_go_on_with_a_queue_that_stays_closed(
    act: str, reads: str, said: str, do: Do, app: Rota, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.enqueue_sync("t", queue="mail")
    original = getattr(Actions, reads)

    async def interrupted(self: Actions, queue: str, **words: object) -> AsyncIterator[object]:
        yield await anext(original(self, queue, **words))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Actions, reads, interrupted)
        done = do("queue", act, "mail", *(["--yes"] if act == "delete" else []))
    assert done.code == 130
    assert said in done.err
    assert "`rota queue resume mail`" in done.err
    assert f" {'draining' if act == 'drain' else 'deleting'} " in do("queue", "list").out
    assert "Queue mail is resumed." in do("queue", "resume", "mail").out


@pytest.fixture
def no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a test the time for which a deleted queue stays closed."""
    from rota.inspect import deleting_queue

    monkeypatch.setattr(deleting_queue, "SETTLE_SECONDS", 0.0)


# Workers


def test_list_of_workers(do: Do, worker: Worker) -> None:
    wait_until(lambda: len(do("worker", "list", "--json").json) == 1)
    [server] = do("worker", "list", "--json").json
    assert (server["id"], server["concurrency"], server["queues"]) == (worker.server_id, 3, {"mail": 1})
    heading, row = do("worker", "list").out.splitlines()
    assert heading.split() == [
        *("id", "host:pid", "kind", "version", "status", "busy", "slots", "started", "memory", "queues")
    ]
    host_and_pid = f"{worker.host}:{worker.pid}"
    assert row.split()[:7] == [worker.server_id[:13], host_and_pid, "Rota", rota_version(), "active", "0", "3"]
    assert " MB  mail=1" in row
    assert (server["version"], server["blocked_by"]) == (rota_version(), "")
    assert do("worker", "list", "--running").out == "No worker runs a task at the moment.\n"


def test_list_without_workers_says_how_to_start_one(do: Do) -> None:
    assert do("worker", "list").out == "No worker runs. Start one: rota worker module:app\n"


def test_worker_is_quieted_woken_scaled_and_stopped(do: Do, worker: Worker) -> None:
    wait_until(lambda: do("worker", "list", "--json").json)
    name = f"{worker.host}:{worker.pid} ({worker.server_id[:13]})"
    assert do("worker", "quiet", worker.server_id[:9]).out == f"{name} takes no more tasks.\n"
    wait_until(lambda: do("worker", "list", "--json").json[0]["status"] == "stopped")
    assert " quiet " in do("worker", "list").out
    assert do("worker", "wake", "--all").out == f"{name} takes tasks again.\n"
    assert do("worker", "scale", "9", f"{worker.host}:{worker.pid}").out == f"{name} runs up to 9 tasks at once.\n"
    wait_until(lambda: do("worker", "list", "--json").json[0]["concurrency"] == 9)
    unanswered = do("worker", "stop", worker.host)
    assert unanswered.code == 1
    assert "Stop 1 worker?" in unanswered.out + unanswered.err
    assert do("worker", "stop", worker.host, "--yes", "--reason", "deploy").out == f"{name} stops.\n"
    wait_until(lambda: do("worker", "list", "--json").json == [])


def test_stop_in_a_guarded_profile_wants_its_name(
    do: Do, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until(lambda: do("worker", "list", "--json").json)
    profiles = tmp_path / "profiles.toml"
    profiles.write_text("[prod]\nconfirm = true\n")
    monkeypatch.setenv("ROTA_PROFILES_FILE", str(profiles))
    monkeypatch.setattr(origin, "_is_command", True)
    words = "worker", "stop", worker.host, "--yes", "--profile", "prod"
    refused = do(*words)
    assert refused.code == 1
    assert "Nothing was changed." in refused.err
    assert not worker.stopping
    monkeypatch.setenv("ROTA_CONFIRM", "prod")
    assert do(*words).code == 0
    wait_until(lambda: do("worker", "list", "--json").json == [])


def test_unknown_worker_is_an_error(do: Do, worker: Worker) -> None:
    wait_until(lambda: do("worker", "list", "--json").json)
    done = do("worker", "quiet", "nowhere")
    assert done.code == 1
    assert "No worker is called 'nowhere'" in done.err
    assert do("worker", "scale", "0", "--all").code == 2
