"""Act on many tasks: run all that failed yesterday again, and move a queue's waiting tasks to another one."""

from rota import Rota
from rota.inspect import BulkProgress, InState, MoveTo, RunNow

app = Rota()


@app.task("mail:send", queue="mail")
async def send(address: str) -> None:
    raise ConnectionError(f"no server for {address}")


async def run_archived_again(queue: str) -> BulkProgress:
    actions = app.actions(by="anna")
    seen = await actions.preview(InState(queue, "archived"))
    print(f"{seen.count} tasks, such as {[info.type for info in seen.sample]}")
    bulk = actions.bulk(RunNow(), InState(queue, "archived"))
    async for progress in actions.batches(bulk):
        print(f"{progress.seen} of {progress.total}: {progress.done} done, {progress.failed} left as they were")
    return bulk.progress


async def move_pending(queue: str, to: str) -> BulkProgress:
    actions = app.actions()
    bulk = actions.bulk(MoveTo(to, create=True), InState(queue, "pending"))
    async for _ in actions.batches(bulk):
        pass
    for failure in bulk.progress.failures:
        print(failure.task.id, failure.error)
    return bulk.progress
