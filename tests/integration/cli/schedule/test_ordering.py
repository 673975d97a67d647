"""Runs by hand: commands in this process, a scheduler and a worker in a thread, on a real server."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from rota.app import Rota
from rota.cli.schedule import backfilling
from rota.errors import BrokerUnavailable
from rota.schedule.definition import ScheduleDefinition
from tests.integration.cli.schedule.conftest import Run

CODE = ScheduleDefinition(name="nightly", task_type="report", specs=["0 2 1 1 *"], payload={"n": 1}, max_retry=0)


@pytest.fixture
def url(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ROTA_URL", redis_url)
    return redis_url


@contextmanager
def running(url: str, tmp_path: Path, *, works: bool = True) -> Iterator[None]:
    """A scheduler with a schedule of code and the store of the test, and a worker."""
    started, stopped = threading.Event(), threading.Event()

    async def serve() -> None:
        app = Rota(url)

        @app.task("report")
        async def report(n: int) -> int:
            if n < 0:
                raise ValueError("no paper")
            return n * 2

        @app.task("day")
        async def day(at: str) -> str:
            if at.startswith("2026-03-02"):
                raise ValueError("no data")
            return at

        async with AsyncExitStack() as stack:
            store = f"sqlite:///{tmp_path / 'store.db'}"
            await stack.enter_async_context(app.scheduler(schedules=[CODE], store=store))
            if works:
                await stack.enter_async_context(app.worker())
            started.set()
            await asyncio.to_thread(stopped.wait)
        await app.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(30)
        yield
    finally:
        stopped.set()
        thread.join()


def until(condition: Callable[[], bool]) -> None:
    """Ask until the answer is yes. Each question is a whole command."""
    for _ in range(200):
        if condition():
            return
    raise AssertionError("the condition never held")


def test_run_waits_for_the_result(rota: Run, url: str, tmp_path: Path) -> None:
    with running(url, tmp_path):
        rota("add", "demand", "report", '{"n": 4}')
        done = rota("run", "demand", "--wait", "--timeout", "30s")
        assert (done.code, done.out) == (0, "8\n")
        as_json = rota("run", "nightly", "--payload", '{"n": 5}', "--wait", "--json").json
        assert (as_json["lines"], as_json["run"]["cause"], as_json["exit_code"]) == (["10"], "manual", 0)
        failed = rota("run", "nightly", "--payload", '{"n": -1}', "--wait")
        assert failed.code == 1
        assert "no paper" in failed.err


def test_run_is_enqueued_skipped_or_not_over(rota: Run, url: str, tmp_path: Path) -> None:
    with running(url, tmp_path, works=False):
        made = rota("run", "nightly")
        assert made.code == 0
        assert "in the queue default" in made.out
        skipped = rota("run", "nightly")
        assert (skipped.code, "overlap is skip" in skipped.err) == (3, True)
        late = rota("run", "nightly", "--overlap", "allow", "--wait", "--timeout", "0.1s")
        assert (late.code, "did not end" in late.err or "within" in late.err) == (5, True)


def test_orders_without_a_scheduler_say_so_at_once(rota: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("run", "nightly"), ("skip", "nightly"), ("run", "nightly", "--wait")):
        done = rota(*words)
        assert (done.code, "No scheduler leads" in done.err) == (1, True)
    monkeypatch.delenv("ROTA_STORE")
    assert "start a scheduler first" in rota("stop", "nightly").err


def test_wrong_words_are_refused(rota: Run, url: str) -> None:
    assert "does not wait for its turn" in rota("run", "x", "--overlap", "queue_one").err
    assert "one JSON object" in rota("run", "x", "--payload", "[1]").err
    assert "not JSON" in rota("run", "x", "--payload", "{").err
    assert "give both" in rota("run", "x", "--timeout", "3s").err


def test_skip_prints_the_time(rota: Run, url: str, tmp_path: Path) -> None:
    with running(url, tmp_path, works=False):
        assert "'nightly' skips" in rota("skip", "nightly").out
        assert len(rota("skip", "nightly", "-n", "2", "--json").json["skipped"]) == 2
        refused = rota("skip", "nowhere")
        assert (refused.code, "no such schedule" in refused.err) == (1, True)


def test_schedule_of_code_is_paused_and_started_by_order(rota: Run, url: str, tmp_path: Path) -> None:
    with running(url, tmp_path, works=False):
        assert "by an order" in rota("pause", "nightly", "--for", "1h", "--note", "audit").out
        assert "by an order" in rota("stop", "nightly").out
        refused = rota("skip", "nightly")
        assert "no next planned time" in refused.err
        assert "by an order" in rota("start", "nightly").out
        assert rota("skip", "nightly").code == 0
        assert "There is no schedule" in rota("stop", "nightlyy").err


def test_run_is_cancelled_and_run_again_as_it_was(rota: Run, url: str, tmp_path: Path) -> None:
    with running(url, tmp_path, works=False):
        rota("add", "demand", "report", '{"n": 4}')
        assert rota("run", "demand", "--payload", '{"n": 7}').code == 0  # a second has not passed since the edit
        until(lambda: bool(rota("runs", "--json").json))
        [run] = rota("runs", "--json").json
        assert "Cancelled 1 task" in rota("cancel", run["id"]).out
        until(lambda: rota("runs", "--json").json[0]["outcome"] == "cancelled")
        assert "over already: cancelled" in rota("cancel", run["id"]).out
        rota("edit", "demand", "--set", 'payload={"n": 9}')
        again = rota("again", run["id"], "--json").json["run"]
        assert again["planned_at"] == run["planned_at"]
        assert again["id"] != run["id"]

    async def payload() -> object:
        async with Rota(url) as app:
            return json.loads((await app.job(again["id"], queue="default").info()).payload)

    assert asyncio.run(payload()) == {"n": 7}


DAYS = ("--from", "2026-03-01T00:00+00:00", "--until", "2026-03-04T00:00+00:00")


def test_backfill_runs_each_time_once(rota: Run, url: str, tmp_path: Path) -> None:
    with running(url, tmp_path):
        rota("add", "daily", "day", '{"at": "{{planned_at}}"}', "--spec", "0 0 * * *", "--set", "max_retry=0")
        dry = rota("backfill", "daily", *DAYS, "--dry-run")
        assert dry.out.startswith("3 runs: from Sun 2026-03-01")
        assert rota("backfill", "daily", *DAYS).code == 1  # without a terminal nobody agrees
        done = rota("backfill", "daily", *DAYS, "--at-once", "2", "--order", "newest", "--queue", "default", "--yes")
        # The last line, because subscribers to events of other tests of this process print too.
        assert (done.code, sorted(done.out.splitlines()[-1].split(", "))) == (1, ["1 failed", "2 succeeded"])
        assert "Mon 2026-03-02 00:00:00 +0000 failed" in done.err
        until(lambda: len(rota("runs", "daily", "--json").json) == 3)
        runs = rota("runs", "daily", "--json").json
        assert {run["cause"] for run in runs} == {"backfill"}
        assert "3 were backfilled before" in rota("backfill", "daily", *DAYS, "--what", "all", "--yes").out


def test_backfill_that_is_cut_off_prints_what_is_over(
    rota: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter([(0, ["done"])])

    async def outcome(*_: object) -> object:
        for end in ends:
            return end
        raise BrokerUnavailable("The server is away.")

    monkeypatch.setattr(backfilling, "outcome_of", outcome)
    with running(url, tmp_path):
        rota("add", "daily", "day", '{"at": "x"}', "--spec", "0 0 * * *")
        done = rota("backfill", "daily", *DAYS, "--yes", "--json")
    assert (done.code, done.json, "is away" in done.err) == (1, {"succeeded": 1}, True)


def test_backfill_knows_the_schedules_of_an_app(rota: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROTA_STORE")
    (tmp_path / "declaring.py").write_text(
        "from rota import Rota\n\napp = Rota()\n\n\n@app.cron('0 0 * * *', name='coded')\n"
        "@app.task('t')\nasync def t() -> None: ...\n"
    )
    assert "There is no schedule 'coded'" in rota("backfill", "coded", *DAYS, "--dry-run").err
    assert rota("backfill", "coded", *DAYS, "--dry-run", "--app", "declaring:app").out.startswith("3 runs")


def test_backfill_refuses_what_it_cannot_do(rota: Run, url: str) -> None:
    rota("add", "demand", "day")
    rota("add", "daily", "day", "--spec", "0 0 * * *")
    assert "lie fixed" in rota("backfill", "demand", *DAYS).err
    assert "in the past" in rota("backfill", "daily", "--from", "2030-01-01", "--until", "2031-01-01").err
    assert "missing, failed, all" in rota("backfill", "daily", *DAYS, "--what", "none").err
    assert "oldest, newest" in rota("backfill", "daily", *DAYS, "--order", "none").err
