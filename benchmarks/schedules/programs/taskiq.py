"""Taskiq's scheduler with a source in memory, and a list of Redis as its broker."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from taskiq import ScheduledTask, ScheduleSource, TaskiqScheduler
from taskiq.api import run_scheduler_task
from taskiq_redis import ListQueueBroker


class Source(ScheduleSource):
    """A fixed list."""

    def __init__(self, tasks: list[ScheduledTask]) -> None:
        self.tasks = tasks

    async def get_schedules(self) -> list[ScheduledTask]:
        return self.tasks

    async def post_send(self, task: ScheduledTask) -> None:
        """A task for one moment is sent once."""
        if task.time is not None:
            self.tasks.remove(task)


async def run(url: str, how: str, count: int, moment: float) -> None:
    at = datetime.fromtimestamp(moment, UTC)
    when: dict[str, dict[str, object]] = {
        "each": {"interval": 1},
        "once": {"time": at},
        "idle": {"time": datetime.now(UTC) + timedelta(weeks=20)},
    }
    tasks = [
        ScheduledTask(task_name="t", labels={}, args=[], kwargs={}, schedule_id=f"s{number}", **when[how])
        for number in range(count)
    ]
    broker = ListQueueBroker(url, queue_name="taskiq")
    await run_scheduler_task(TaskiqScheduler(broker, [Source(tasks)]))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
