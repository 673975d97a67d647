"""APScheduler 3 with jobs in memory. It runs functions itself, so each function adds its name to a list in Redis.

Its defaults hold: ten threads, and a run that is more than a second late is left out.
"""

import sys
from datetime import UTC, datetime

from apscheduler.schedulers.blocking import BlockingScheduler
from redis import Redis


def run(url: str, how: str, count: int, moment: float) -> None:
    client = Redis.from_url(url)
    scheduler = BlockingScheduler(timezone=UTC)
    when: dict[str, dict[str, object]] = {
        "each": {"trigger": "cron", "second": "*"},
        "once": {"trigger": "date", "run_date": datetime.fromtimestamp(moment, UTC)},
        "idle": {"trigger": "interval", "weeks": 20},
    }
    for number in range(count):
        scheduler.add_job(client.lpush, args=("apscheduler", f"s{number}"), id=f"s{number}", **when[how])
    scheduler.start()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
