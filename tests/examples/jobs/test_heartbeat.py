"""Checks of URLs on a local server, with alerts on a local mail server."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from examples.jobs import app
from examples.jobs.guarded_http import HttpRefused
from examples.jobs.heartbeat import Finding, check, following
from examples.jobs.mail import MailUndelivered
from examples.jobs.state import Monitor
from rota.testing import run_inline
from tests.examples.jobs.smtp_sink import SmtpSink
from tests.examples.jobs.web_server import Reply, WebServer

Configure = Callable[..., dict[str, str]]
ANN = "ann@example.org"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def settings(configure: Configure, smtp: SmtpSink) -> None:
    configure(smtp=smtp.url)


async def look(web: WebServer, task_id: str, **arguments: object) -> Finding:
    """Check the URL, with limits that hold on a busy machine."""
    arguments = {"latency": "60s", "time_limit": "60s", **arguments}
    plan = check.options(task_id=task_id).plan(web.url, name="shop", failures=2, alert=[ANN], **arguments)  # type: ignore[arg-type]
    return await run_inline(app, plan)


async def test_url_that_is_well_has_no_fault(web: WebServer) -> None:
    finding = await look(web, "one", contains="well", status=[200, 204])

    assert (finding.fault, finding.failures, finding.alert) == ("", 0, "")


async def test_each_rule_is_checked(web: WebServer) -> None:
    web.answer = lambda asked: Reply(500)
    assert (await look(web, "1")).fault == f"{web.url} answered 500."
    assert (await look(web, "2", status=[500])).fault == ""
    assert (await look(web, "3", status=[200])).fault.endswith("answered 500.")
    web.answer = lambda asked: Reply()
    assert "does not contain 'missing'" in (await look(web, "4", contains="missing")).fault
    assert "longer than 0 s" in (await look(web, "5", latency="0s")).fault
    web.answer = lambda asked: Reply(drop=True)
    assert "RemoteProtocolError" in (await look(web, "6")).fault
    end = threading.Event()
    web.answer = lambda asked: Reply(wait=end)
    try:
        assert "did not answer within 0.3 s" in (await look(web, "7", time_limit="300ms")).fault
    finally:
        end.set()


async def test_alert_comes_after_failures_in_a_row_and_when_all_is_well_again(web: WebServer, smtp: SmtpSink) -> None:
    web.answer = lambda asked: Reply(500)
    first, second, third = [await look(web, f"down {number}") for number in range(3)]
    web.answer = lambda asked: Reply()
    fourth, fifth = [await look(web, f"up {number}") for number in range(2)]

    alerts = [finding.alert for finding in (first, second, third, fourth, fifth)]
    assert alerts == ["", "DOWN: shop", "", "UP: shop", ""]
    assert [finding.failures for finding in (first, second, third, fourth)] == [1, 2, 3, 0]
    assert [mail["Subject"] for _, mail in smtp.mails] == ["DOWN: shop", "UP: shop"]
    assert "answered 500" in smtp.mails[0][1].get_content()
    assert "with 3 failures" in smtp.mails[1][1].get_content()


async def test_failure_between_successes_is_no_alert(web: WebServer, smtp: SmtpSink) -> None:
    for number in range(4):
        web.answer = (lambda asked: Reply(500)) if number % 2 else (lambda asked: Reply())
        await look(web, str(number))

    assert smtp.mails == []


async def test_task_that_runs_twice_counts_once(web: WebServer, smtp: SmtpSink) -> None:
    web.answer = lambda asked: Reply(500)

    findings = [await look(web, "one") for _ in range(3)]

    assert [finding.failures for finding in findings] == [1, 1, 1]
    assert smtp.mails == []


async def test_alert_that_could_not_be_mailed_is_sent_by_the_retry_once(web: WebServer, smtp: SmtpSink) -> None:
    web.answer = lambda asked: Reply(500)
    smtp.reply = lambda address: "451 Try later"
    await look(web, "1")
    with pytest.raises(MailUndelivered):
        await look(web, "2")
    smtp.reply = lambda address: "250 OK"

    again = await look(web, "2")
    third = await look(web, "3")

    assert (again.failures, again.alert) == (2, "DOWN: shop")
    assert third.alert == ""
    assert len(smtp.mails) == 1


async def test_checks_at_the_same_time_are_all_counted(web: WebServer, smtp: SmtpSink) -> None:
    web.answer = lambda asked: Reply(500)

    findings = await asyncio.gather(*(look(web, str(number)) for number in range(8)))

    assert sorted(finding.failures for finding in findings) == list(range(1, 9))
    assert [mail["Subject"] for _, mail in smtp.mails] == ["DOWN: shop"]


async def test_check_of_a_host_outside_of_the_settings_is_refused(web: WebServer, configure: Configure) -> None:
    configure(http_networks=[])

    with pytest.raises(HttpRefused):
        await look(web, "one")


def test_alert_that_waits_is_kept_until_a_newer_one() -> None:
    down = following(Monitor("1", 1, NOW.isoformat(), False), "2", "shop", "fault", 2, NOW)
    later = following(down, "3", "shop", "fault", 2, NOW)
    up = following(later, "4", "shop", "", 2, NOW + timedelta(minutes=5))
    well = following(up, "5", "shop", "", 2, NOW)

    assert later.notice == down.notice
    assert down.notice.startswith("DOWN: shop\n\nfault")
    assert up.notice.startswith("UP: shop")
    assert "down for 0:05:00" in up.notice
    assert well.notice == up.notice
    assert well.alerting is False
