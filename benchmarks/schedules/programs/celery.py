"""Celery beat, with its own file of entries. It has no entry for one moment, so `once` is a crontab of a minute."""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from celery import Celery
from celery.schedules import crontab, schedule


def run(url: str, how: str, count: int, moment: float) -> None:
    app = Celery("bench", broker=url)
    at = datetime.fromtimestamp(moment, UTC)
    when = {
        "each": schedule(1.0),
        "once": crontab(minute=at.minute, hour=at.hour),
        "idle": crontab(minute=0, hour=0, day_of_month=1, month_of_year=(at.month + 5) % 12 + 1),
    }[how]
    app.conf.update(
        task_ignore_result=True,
        timezone="UTC",
        beat_schedule={f"s{number}": {"task": "t", "schedule": when} for number in range(count)},
    )
    with tempfile.TemporaryDirectory() as folder:
        app.Beat(loglevel="CRITICAL", schedule=str(Path(folder) / "beat")).run()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
