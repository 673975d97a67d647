"""What the demo asks for: a round of work every few seconds, and a heartbeat."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from examples.shop import paths
from examples.shop.app import app, back_up, beat, book_courier, build_report, clean, resize, send_receipt
from examples.shop.journal import Entry, Journal
from rota import Plan

WIDTHS = (160, 320, 640)
RECEIPTS = 8
FIRST_ORDER = 1001


@dataclass(slots=True)
class Rounds:
    """Enqueues rounds of work, and notes in the journal what was accepted."""

    journal: Journal
    number: int = field(default_factory=lambda: _next_number(paths.RESULTS))

    async def enqueue(self) -> list[str]:
        """Enqueue one round. Returns a line for each kind of work."""
        folder = paths.RESULTS / f"round-{self.number:04}"
        folder.mkdir(parents=True)
        _leave_files(folder / "cache")
        month = f"2025-{(self.number - 1) % 12 + 1:02}"
        first = FIRST_ORDER + (self.number - 1) * RECEIPTS % 2000
        images = [(image, width) for image in paths.IMAGES for width in WIDTHS]
        self.number += 1

        await self._send(resize.plan(image, folder / f"{image.stem}-{width}.jpg", width) for image, width in images)
        await self._send(send_receipt.plan(order) for order in range(first, first + RECEIPTS))
        await self._send([build_report.plan(month, folder), book_courier.plan(first, folder)])
        await self._send([back_up.plan(folder / "shop.sqlite3"), clean.plan(folder / "cache", "*", timedelta(days=7))])
        return [
            f"{len(images)} x image:resize, {RECEIPTS} x mail:receipt, report:build for {month}",
            "courier:book (busy at the first call), database:backup, files:clean",
        ]

    async def enqueue_heartbeat(self, delay_seconds: float) -> None:
        """Enqueue a heartbeat that is due in so many seconds."""
        due = datetime.now(UTC) + timedelta(seconds=delay_seconds)
        plan = beat.plan(due).updated(process_at=due)
        await self._send([plan])

    async def _send(self, plans: Iterable[Plan[object]]) -> None:
        sent = list(plans)
        for plan, enqueued in zip(sent, await app.enqueue_many(sent), strict=True):
            if isinstance(enqueued, Exception):
                raise enqueued
            self.journal.write(Entry("enqueued", enqueued.id, plan.type, json.loads(plan.payload)))


def _next_number(results: Path) -> int:
    numbers = [int(path.name.removeprefix("round-")) for path in results.glob("round-*")]
    return max(numbers, default=0) + 1


def _leave_files(folder: Path) -> None:
    """Leave files to be cleaned away: a dozen old ones and three new ones."""
    folder.mkdir(parents=True)
    for number in range(15):
        age_days = 0 if number < 3 else number + 5
        path = folder / f"{'old' if age_days else 'new'}-{number}.tmp"
        path.write_bytes(os.urandom(1000))
        os.utime(path, (time.time() - age_days * 86400,) * 2)
