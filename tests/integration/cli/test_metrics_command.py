"""`rota metrics` on a server with the counts that a worker wrote."""

import asyncio
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rota.app import Rota
from rota.cli.metrics_port import QueuePort
from rota.client.requests import Requests
from rota.errors import BrokerUnavailable
from rota.health.endpoints import HealthPort
from rota.inspect.prometheus import CONTENT_TYPE, expose, read_queues
from rota.wire import minute
from tests.integration.cli.conftest import Run


async def work(url: str) -> None:
    """Run five tasks, of which one fails twice, and leave one in the queue."""
    app = Rota(url)

    @app.task("mail:send", retry=0)
    async def send(good: bool) -> None:
        if not good:
            raise ValueError("no such address")

    async with app:
        for good in (True, True, True, False):
            await send.enqueue(good)
        broker = app.connect()
        async with app.worker(), asyncio.timeout(30):
            while (await broker.run(minute.look_total(broker.keys.queue("default")))).processed < 4:
                await asyncio.sleep(0.01)
        await broker.aclose()
        await send.enqueue(True)


@pytest.fixture
def worked(redis_url: str) -> str:
    asyncio.run(work(redis_url))
    return redis_url


def test_last_hour_is_shown_without_a_store(command: Run, worked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROTA_STORE")
    done = command("metrics", "--url", worked)
    assert (done.code, done.err) == (0, "")
    assert "4 processed, 1 failed (25 %), of them 1 for good" in done.out
    assert "mail:send" in done.out
    assert "█" in done.out


def test_json_has_points_totals_and_types(command: Run, worked: str) -> None:
    found = command("metrics", "--url", worked, "--last", "30m", "--step", "1m", "--json").json
    assert (len(found["points"]), found["step_seconds"], found["queues"]) == (30, 60, ["default"])
    assert (found["total"]["processed"], found["total"]["failed"], found["total"]["elsewhere"]) == (4, 1, None)
    assert sum(each["succeeded"] for each in found["points"]) == 3
    assert found["types"]["mail:send"]["run_seconds"]["p95"] > 0
    assert found["points"][0]["run_seconds"]["p95"] is None
    assert datetime.fromisoformat(found["points"][-1]["at"]).tzinfo is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--queue", "defualt"), "Did you mean 'default'?"),
        (("--type", "mail:sned"), "Did you mean 'mail:send'?"),
        (("--last", "5s"), "give 1m or more"),
        (("--step", "90s"), "whole minutes"),
        (("--last", "2000m", "--step", "1m"), "raise --step"),
    ],
)
def test_wrong_words_are_explained(command: Run, worked: str, words: tuple[str, ...], said: str) -> None:
    done = command("metrics", "--url", worked, *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_store_that_is_not_there_is_refused_if_it_is_named_and_else_only_told(command: Run, worked: str) -> None:
    told = command("metrics", "--url", worked, "--json")
    assert (told.code, told.json["total"]["processed"]) == (0, 4)
    assert "warning There is no store in" in told.err
    refused = command("metrics", "--url", worked, "--store", "sqlite:///other.db", "--json")
    assert (refused.code, refused.out, Path("other.db").exists()) == (2, "", False)


def test_nothing_recorded_is_said_and_no_chart_is_shown(
    command: Run, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROTA_STORE")
    done = command("metrics", "--url", redis_url, "--last", "3h")
    assert (done.code, done.out) == (0, "")
    assert "No worker of Rota has recorded an outcome" in done.err
    assert "only the last two hours are known" in done.err


def test_prometheus_text_has_the_numbers_of_the_queues(command: Run, worked: str) -> None:
    done = command("metrics", "--url", worked, "--prometheus")
    found = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(done.out)
        for sample in family.samples
    }

    def value(name: str, *labels: str) -> float:
        return found[name, frozenset(("default", *labels))]

    assert value("rota_queue_tasks", "pending") == 1
    assert value("rota_queue_processed_total") == 4
    assert value("rota_queue_processed_elsewhere_total") == 0
    assert value("rota_task_runs_total", "mail:send", "failed") == 1
    assert value("rota_task_run_seconds_bucket", "mail:send", "+Inf") == 4
    assert value("rota_task_wait_seconds_bucket", "mail:send", "+Inf") == 4
    assert value("rota_queue_paused") == 0
    assert value("rota_queue_oldest_pending_seconds") >= 0


async def test_port_answers_what_was_read_last_and_503_while_the_server_is_away(worked: str) -> None:
    broker = Rota(worked).connect()

    async def read() -> str:
        return expose(await Requests(broker).carry_out(read_queues(broker.keys)), 1.0)

    async def fail() -> str:
        raise BrokerUnavailable("Redis is away")

    def ask(port: int | None, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    answers = QueuePort(CONTENT_TYPE)
    async with HealthPort(answers, port=0) as port:
        assert await asyncio.to_thread(ask, port.port, "/metrics") == (503, "starting\n")
        await answers.refresh(read)
        status, text = await asyncio.to_thread(ask, port.port, "/metrics")
        assert (status, "rota_queue_processed_total" in text) == (200, True)
        await answers.refresh(fail)
        assert await asyncio.to_thread(ask, port.port, "/metrics") == (503, "Redis is away\n")
        assert await asyncio.to_thread(ask, port.port, "/ready") == (503, "Redis is away\n")
        assert (await asyncio.to_thread(ask, port.port, "/live"))[0] == 200
        assert (await asyncio.to_thread(ask, port.port, "/other"))[0] == 404
    await broker.aclose()


def test_store_shows_how_large_the_samples_are(command: Run, tmp_path: Path) -> None:
    command("store", "upgrade")
    found = command("store", "status", "--json").json
    assert found["tables"]["rota_metric_samples"]["rows"] == 0
    assert found["tables"]["rota_metric_samples"]["bytes"] > 0
