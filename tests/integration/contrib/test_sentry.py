"""Reports to Sentry, with the real SDK and a transport that collects."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from rota import OptionError, Retry, RetryLater, Rota, TaskCancelled, TaskFailed, events
from rota.contrib import sentry
from rota.events import dispatch

AGAIN = Retry(max=1, delay=timedelta(milliseconds=10))


class Collected(Transport):
    """Keeps the reports instead of sending them."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.items += [item.payload.json for item in envelope.items if item.payload.json is not None]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.items if item.get("type", "event") == kind]


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    monkeypatch.setattr(dispatch, "_callbacks", ())
    monkeypatch.setattr(sentry, "_instrumented", type(sentry._instrumented)())
    transport = Collected()
    sentry_sdk.init(
        dsn="http://key@localhost/1", transport=transport, traces_sample_rate=1.0, auto_enabling_integrations=False
    )
    yield transport
    sentry_sdk.init()
    monkeypatch.undo()
    dispatch._observe()


@pytest.fixture
async def app(redis_url: str, collected: Collected) -> AsyncIterator[Rota]:
    app = Rota(redis_url)
    yield app
    await app.aclose()


async def run(app: Rota, type: str) -> str:
    """Run one task to its end; return its ID."""
    async with app.worker():
        job = await app.enqueue(type, retention="1m")
        with pytest.raises((TaskFailed, TaskCancelled)):
            await job.result(timeout="30s")
    assert events.flush(30)
    return job.id


async def test_failed_task_is_one_report_with_its_tags_after_its_last_retry(app: Rota, collected: Collected) -> None:
    sentry.instrument(app)

    @app.task("mail:send", retry=AGAIN)
    async def send() -> None:
        sentry_sdk.add_breadcrumb(message="looked up the address")
        sentry_sdk.set_tag("tenant", "7")
        raise ConnectionError("no server")

    task_id = await run(app, "mail:send")

    (report,) = collected.of("event")
    assert report["exception"]["values"][-1]["type"] == "ConnectionError"
    assert report["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "send"
    assert report["tags"] == {
        "task_type": "mail:send",
        "queue": "default",
        "task_id": task_id,
        "attempt": "2",
        "tenant": "7",
    }
    assert "looked up the address" in [crumb["message"] for crumb in report["breadcrumbs"]["values"]]


def test_events_that_happen_for_every_task_are_not_made_for_sentry(collected: Collected) -> None:
    sentry.instrument(Rota())

    assert events.TaskArchived.observed
    assert events.LeaseLost.observed
    assert not events.RunEvent.observed


async def test_report_of_a_task_that_was_stopped_by_its_time_limit_has_its_tags(
    app: Rota, collected: Collected
) -> None:
    sentry.instrument(app)

    @app.task("mail:slow", retry=Retry(max=0), timeout="1s")
    async def slow() -> None:
        sentry_sdk.set_tag("tenant", "7")
        await asyncio.sleep(3600)

    await run(app, "mail:slow")

    (report,) = collected.of("event")
    assert report["exception"]["values"][-1]["type"] == "TimeoutError"
    assert report["tags"]["tenant"] == "7"


async def test_each_failed_run_is_a_report_if_that_is_asked_for(app: Rota, collected: Collected) -> None:
    sentry.instrument(app, retries=True)

    @app.task("mail:send", retry=AGAIN)
    def send() -> None:
        raise ConnectionError("no server")

    await run(app, "mail:send")

    assert [report["tags"]["attempt"] for report in collected.of("event")] == ["1", "2"]


async def test_each_run_is_a_transaction(app: Rota, collected: Collected) -> None:
    sentry.instrument(app)

    @app.task("mail:send", retry=AGAIN)
    async def send() -> None:
        raise ConnectionError("no server")

    await run(app, "mail:send")

    runs = collected.of("transaction")
    assert [each["transaction"] for each in runs] == ["mail:send"] * 2
    assert {each["contexts"]["trace"]["op"] for each in runs} == {"queue.process"}


async def test_tags_of_one_task_are_not_in_the_report_of_another(app: Rota, collected: Collected) -> None:
    sentry.instrument(app)

    @app.task("mail:one", retry=Retry(max=0))
    async def one() -> None:
        sentry_sdk.set_tag("secret", "of one")
        raise ConnectionError("one")

    @app.task("mail:two", retry=Retry(max=0))
    async def two() -> None:
        raise ConnectionError("two")

    await run(app, "mail:one")
    await run(app, "mail:two")

    first, second = collected.of("event")
    assert first["tags"]["secret"] == "of one"
    assert "secret" not in second["tags"]


async def test_task_that_is_put_off_or_cancelled_is_not_reported(app: Rota, collected: Collected) -> None:
    sentry.instrument(app, retries=True)

    @app.task("mail:later")
    async def later() -> None:
        raise RetryLater("1h", counts=False)

    async with app.worker():
        job = await app.enqueue("mail:later", retention="1m")
        seen = events.TaskRetried(
            **events.about_task(job.id, "mail:later", "default", 0),
            reason="",
            delay_seconds=1.0,
            counts=False,
            max_retry=1,
        )
        events.emit(seen)
    events.emit(
        events.TaskArchived(
            **events.about_task("one", "mail:later", "default", 0), reason="cancelled", ending="cancelled", final=False
        )
    )
    assert events.flush(30)

    assert collected.of("event") == []


async def test_outage_of_the_broker_is_reported_only_when_it_lasts(app: Rota, collected: Collected) -> None:
    sentry.instrument(app)

    events.emit(events.BrokerAway(log_level=40, act="Fetching", error=ValueError("no"), unexpected=False))
    events.emit(events.BrokerStillAway(act="Fetching", attempts=9, error=ValueError("no"), unexpected=False))

    assert events.flush(30)
    (report,) = collected.of("event")
    assert report["tags"]["event"] == "BrokerStillAway"


async def test_lost_lease_is_a_report_that_is_grouped_by_its_name(app: Rota, collected: Collected) -> None:
    sentry.instrument(app)

    events.emit(events.LeaseLost(**events.about_task("one", "mail:send", "low", 0)))

    assert events.flush(30)
    (report,) = collected.of("event")
    assert report["fingerprint"] == ["rota", "LeaseLost"]
    assert report["message"].startswith("Lost the lease of task one (mail:send)")
    assert report["tags"]["queue"] == "low"


async def test_report_of_a_hook_that_failed_has_its_traceback(app: Rota, collected: Collected) -> None:
    sentry.instrument(app)
    try:
        raise KeyError("user")
    except KeyError as error:
        about = events.about_task("one", "mail:send", "low", 0)
        events.emit(events.HookFailed(**about, hook_event="success", hook="count", error=error))

    assert events.flush(30)
    (report,) = collected.of("event")
    assert report["fingerprint"] == ["rota", "HookFailed"]
    assert report["exception"]["values"][-1]["type"] == "KeyError"
    assert report["contexts"]["event"]["message"] == "The success hook of task one (mail:send) failed: count"


def test_no_failure_is_reported_a_second_time_by_its_log_line(collected: Collected) -> None:
    sentry.instrument(Rota())
    failed = events.CronPlanFailed(name="nightly", error=ValueError("no such day"))
    events.emit(failed)
    events.emit(events.SchedulerNotTicking(scheduler="s", error=ValueError("no such shard")))
    assert events.flush(30)

    assert sorted(report["tags"]["event"] for report in collected.of("event")) == [
        "CronPlanFailed",
        "SchedulerNotTicking",
    ]


def test_second_app_is_refused_although_the_first_one_is_gone(collected: Collected) -> None:
    sentry.instrument(Rota())
    gc.collect()
    with pytest.raises(OptionError, match="in this process already"):
        sentry.instrument(Rota())


def test_second_app_is_refused(collected: Collected) -> None:
    app = Rota()
    sentry.instrument(app)
    with pytest.raises(OptionError, match="in this process already"):
        sentry.instrument(app)
