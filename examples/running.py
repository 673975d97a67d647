"""While a task runs: it tells how far it is, hears that it was cancelled, and hooks hear how it ended."""

import asyncio
import threading
import time

from rota import Context, Rota, TaskCancelled, current

app = Rota()
heard: list[str] = []
begun = threading.Event()


def note_success(context: Context, result: object) -> None:
    heard.append(f"{context.type} made {result}")


def copy(row: int) -> None:
    """Deep in the code nobody passes a context around: `current()` finds it."""
    current().log(f"row {row} copied")


@app.task("table:copy", on_success=note_success)
async def copy_table(context: Context, rows: int) -> int:
    for row in range(rows):
        copy(row)
        context.progress(row + 1, rows, "copying")  # cheap: only the newest is written, twice a second
    return rows


@app.task("table:index", timeout="1h")
def index(context: Context, table: str) -> None:
    begun.set()
    while True:  # a coroutine is cancelled; a function in a thread looks for it at safe points
        context.raise_if_cancelled()
        time.sleep(0.01)


async def stop_it() -> str:
    job = await index.enqueue("orders")
    await asyncio.to_thread(begun.wait, 30)
    await job.cancel("the table is being dropped")
    try:
        await job.result(timeout="30s")
    except TaskCancelled as cancelled:
        return cancelled.reason
    return "it was through before"
