"""Subscribe to events: count failures, and report tasks that are archived."""

from collections import Counter
from datetime import timedelta

from rota import Retry, Rota
from rota.events import TaskArchived, TaskRetried, on

app = Rota()
failures: Counter[str] = Counter()


@on(TaskRetried, TaskArchived)
def count(event: TaskRetried | TaskArchived) -> None:
    failures[event.task_type] += 1


@on(TaskArchived)
def report(event: TaskArchived) -> None:
    print(f"{event.task_type} {event.task_id} gave up after {event.attempt} attempts: {event.reason}")


@app.task("mail:send", retry=Retry(max=1, delay=timedelta(seconds=1)))
async def send(address: str) -> None:
    raise ConnectionError(f"no server for {address}")
