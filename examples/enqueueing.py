"""The ways to enqueue: now, later, at most once, many, by name, and from blocking code."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rota import Enqueued, Rota, Unique

app = Rota()


@app.task("report:build", timeout="5m", retention="1h")
def build_report(account: int, month: str = "2026-01") -> str:
    return f"report of account {account} for {month}"


@app.task("search:index", unique=Unique("10m", scope="queued", key="doc-{document}"))
async def index(document: str) -> None:
    """While a run for this document is queued, a further one is not added."""


async def later() -> list[Enqueued[str]]:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return [
        await build_report.enqueue(7),
        await build_report.options(delay="90s").enqueue(7),
        await build_report.options(process_at=tomorrow, queue="low").enqueue(7, month="2026-02"),
        await build_report.options(task_id="report-7", max_retry=0).enqueue(7),
    ]


async def at_most_once() -> bool:
    first = await index.enqueue("readme")
    second = await index.enqueue("readme")  # returns the first one
    return first.created and not second.created and second.id == first.id


async def joined() -> bool:
    """Typing goes on, saving waits: one run, two seconds after the last call, at most a minute after the first."""
    keystrokes = index.options(unique=None).debounce("draft-{document}", "2s", "1m")
    first = await keystrokes.enqueue("readme")
    last = await keystrokes.enqueue("readme")
    return last.id == first.id


async def together() -> int:
    """Stream any number of tasks in few round trips. What came of each is a value."""
    outcomes = await app.enqueue_many(build_report.plan(account) for account in range(1000))
    return sum(isinstance(outcome, Enqueued) for outcome in outcomes)


async def by_name() -> str:
    """Without importing the function, for example because a Go worker runs it."""
    job = await app.enqueue("image:resize", {"path": str(Path("cat.jpg")), "width": 320}, queue="images")
    return job.id


def from_blocking_code() -> str:
    """In Django, Flask or a script."""
    return build_report.enqueue_sync(7).id


async def change_your_mind() -> None:
    job = await build_report.options(delay="1h").enqueue(7)
    await job.reschedule("5m")
    await job.update_payload(build_report.plan(8).payload)
    await job.run_now()
    await job.cancel("not needed any more")
