"""Options of an enqueue, and changes to a task that waits."""

import asyncio
from datetime import UTC, datetime, timedelta

from tasks import app, build_report


async def main() -> None:
    async with app:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        first = await build_report.options(delay="90s").enqueue(7)
        second = await build_report.options(process_at=tomorrow, queue="low").enqueue(7, month="2026-02")
        third = await build_report.options(task_id="report-7", delay="1h", max_retry=0).enqueue(7)
        for job in (first, second, third):
            print(job.id if job is third else "an ID that Rota made", job.queue, job.state)

        await first.run_now()
        print(await first.result(timeout="30s"))
        await second.reschedule("5m")
        await second.update_payload(build_report.plan(8).payload)
        await second.cancel("not needed any more")
        print((await second.info()).state)
        await third.cancel()


asyncio.run(main())
