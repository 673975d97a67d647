"""The shop's tasks, registered with Rota. `rota worker examples.shop.app:app` runs them."""

import time
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from examples.shop import backup, cleaning, courier, heartbeat, images, mail, paths, report
from examples.shop.journal import Entry, Journal
from rota import Context, Retry, Rota, current

app = Rota()
journal = Journal(paths.JOURNAL)


@app.middleware
async def keep_journal(context: Context) -> AsyncGenerator[None]:
    """Write down how each run of a task ended."""
    started = time.monotonic()
    try:
        yield
    except Exception as error:
        journal.write(_entry("failed", context, started, f"{type(error).__name__}: {error}"))
        raise
    journal.write(_entry("done", context, started))


def _entry(event: Literal["failed", "done"], context: Context, started: float, error: str = "") -> Entry:
    seconds = time.monotonic() - started
    return Entry(event, context.id, context.type, {}, context.retried + 1, seconds, error)


# A plain function is registered as it is: it stays callable, and testable, without any queue.
resize = app.task("image:resize", run="process", timeout="30s")(images.resize)


@app.task("report:build", timeout="1m")
def build_report(month: str, folder: Path) -> int:
    return report.build(paths.SALES, month, folder)


@app.task("database:backup", queue="low", timeout="5m")
def back_up(target: Path) -> str:
    return backup.back_up(paths.DATABASE, target)


@app.task("files:clean", queue="low", timeout="1m")
def clean(folder: Path, pattern: str, older_than: timedelta) -> list[str]:
    return cleaning.clean(folder, pattern, older_than)


@app.task("mail:receipt", queue="critical", timeout="15s", retry=Retry(max=5, delay="1s"))
def send_receipt(order: int) -> str:
    return mail.send_receipt(paths.DATABASE, order, paths.mail_server())


@app.task("courier:book", retry=Retry(max=3, delay="1s"))
async def book_courier(order: int, folder: Path) -> Path:
    return courier.book(order, current().retried + 1, folder)


@app.task("shop:heartbeat", queue="critical")
async def beat(due: datetime) -> float:
    return heartbeat.beat(due, paths.DIARY)
