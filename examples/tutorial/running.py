"""Progress, log lines, cancellation and hooks."""

import time

from rota import Context, Rota, current

app = Rota()


def note_success(context: Context, result: object) -> None:
    print(f"{context.type} returned {result}", flush=True)


def copy(row: int) -> None:
    current().log(f"row {row} copied")  # works in any function that the task calls


@app.task("table:copy", on_success=note_success, retention="1h")
async def copy_table(context: Context, rows: int) -> int:
    for row in range(rows):
        copy(row)
        context.progress(row + 1, rows, "copying")
    return rows


@app.task("table:index", timeout="1h", retention="1h")
def index_table(context: Context, table: str) -> None:
    while True:  # a coroutine is cancelled; a function in a thread asks at a point where it can stop
        context.raise_if_cancelled()
        time.sleep(0.01)
