"""Checks of URLs: status, content and latency, with an alert after failures in a row and one when all is well again.

A site that is down is the finding of a check and not a failure of the task: the task succeeds, and its result says what
was found. It fails only if it cannot do its work, for example because an alert cannot be mailed. Then the retry sends
the alert that is due, and does not count its own look as a further failure.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated

from annotated_types import Ge

from examples.jobs.alert import send_alert
from examples.jobs.guarded_http import HttpFailed, HttpRequest, request
from examples.jobs.settings import JobRefused, JobSettings
from examples.jobs.state import JobState, Monitor, job_state
from rota import Context, Retry, Tasks
from rota.core.duration import Duration
from rota.core.text import counted

tasks = Tasks()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `fault` is empty if the URL is well."""

    url: str
    fault: str
    seconds: float
    failures: int
    """Failures in a row, with this one."""
    alert: str = ""
    """The subject of the alert that was sent; empty if none was due."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When an answer counts as well."""

    status: list[int] | None
    contains: str
    latency: timedelta
    time_limit: timedelta


@tasks.task(
    "check",
    timeout="5m",
    retention="1d",
    retry=Retry(max=5, backoff="exponential", base="10s", cap="10m", never=[JobRefused]),
)
async def check(
    context: Context,
    url: str,
    name: str = "",
    status: list[int] | None = None,
    contains: str = "",
    latency: Duration = timedelta(seconds=5),
    time_limit: Duration = timedelta(seconds=10),
    failures: Annotated[int, Ge(1)] = 3,
    alert: list[str] | None = None,
) -> Finding:
    """Look at a URL, and mail an alert to the addresses in `alert` after `failures` failures in a row.

    The URL is well if its status is in `status` (200 to 299 by default), the body contains the text `contains`, and the
    answer took no longer than `latency`. `name` keeps several checks of one URL apart.
    """
    settings = JobSettings.read()
    fault, seconds = await _look(settings, url, Rules(status, contains, latency, time_limit))
    return await asyncio.to_thread(_conclude, settings, context.id, name or url, url, fault, seconds, failures, alert)


async def _look(settings: JobSettings, url: str, rules: Rules) -> tuple[str, float]:
    try:
        answer = await request(settings, HttpRequest("GET", url, time_limit=rules.time_limit, redirects=3))
    except HttpFailed as error:
        return str(error), 0.0
    if answer.status not in rules.status if rules.status else not 200 <= answer.status < 300:
        return f"{url} answered {answer.status}.", answer.seconds
    if rules.contains not in answer.body.decode(errors="replace"):
        return f"The answer of {url} does not contain {rules.contains!r}.", answer.seconds
    if answer.seconds > rules.latency.total_seconds():
        return (
            f"{url} took {answer.seconds:.2f} s, which is longer than {rules.latency.total_seconds():g} s.",
            answer.seconds,
        )
    return "", answer.seconds


def _conclude(
    settings: JobSettings,
    run: str,
    name: str,
    url: str,
    fault: str,
    seconds: float,
    limit: int,
    alert: list[str] | None,
) -> Finding:
    with job_state(settings) as state:
        monitor = _counted(state, run, name, fault, limit)
        subject = monitor.notice.partition("\n")[0]
        if monitor.notice and alert:
            # Named by its text, so that a later look that sends an alert again does not mail it twice.
            key = sha256(f"{name} {monitor.notice}".encode()).hexdigest()
            send_alert(settings, f"alert {key}", alert, subject, monitor.notice)
        if monitor.notice:
            state.replace_monitor(name, monitor, replace(monitor, notice=""))
    return Finding(url, fault, round(seconds, 3), monitor.failures, subject)


def _counted(state: JobState, run: str, name: str, fault: str, limit: int) -> Monitor:
    """Return how the monitor stands with this run, which counts once."""
    while True:
        monitor = state.monitor(name)
        if monitor.run == run:
            return monitor
        after = following(monitor, run, name, fault, limit, datetime.now(UTC))
        if state.replace_monitor(name, monitor, after):
            return after


def following(monitor: Monitor, run: str, name: str, fault: str, limit: int, now: datetime) -> Monitor:
    """Return how a monitor stands after one more look. Its notice is the alert that is due, if one is."""
    if fault:
        since = monitor.since if monitor.failures else now.isoformat(timespec="seconds")
        failures = monitor.failures + 1
        if monitor.alerting or failures < limit:
            return Monitor(run, failures, since, monitor.alerting, monitor.notice)
        return Monitor(
            run, failures, since, True, f"DOWN: {name}\n\n{fault}\n\n{counted(failures, 'failure')} since {since}."
        )
    if not monitor.alerting:
        return Monitor(run, notice=monitor.notice)
    lasted = str(now.replace(microsecond=0) - datetime.fromisoformat(monitor.since))
    text = f"UP: {name}\n\nIt is well again. It was down for {lasted}, with {counted(monitor.failures, 'failure')}."
    return Monitor(run, notice=text)
