"""The whole face of the library in one program. `python -m examples.face`."""

import asyncio
import json

from rota import Context, Job, Retry, Rota

app = Rota()


class BadAddress(Exception):
    """No later try would find a better one."""


@app.task("email:welcome", queue="critical", timeout="30s", retry=Retry(max=5, never=[BadAddress]))
async def welcome(user_id: int, locale: str = "en") -> str:
    if user_id < 1:
        raise BadAddress(f"there is no user {user_id}")
    return f"user {user_id} is welcome ({locale})"


# `async def` runs on the loop, `def` in a thread, and in a process where it is asked for.
@app.task("image:resize", run="process", retention="10m")
def resize(path: str, width: int) -> str:
    return f"{path} is {width} wide"


@app.handler("report:")  # Asynq's style: raw bytes, for every type that begins so
async def any_report(ctx: Context, payload: bytes) -> bytes:
    return json.dumps([ctx.type, json.loads(payload)["id"]]).encode()


async def enqueue() -> list[Job[str]]:
    now = await welcome.options(retention="10m").enqueue(7)  # typed like the function; the result is kept on request
    small = await resize.enqueue("cat.jpg", width=320)
    await welcome.options(delay="5m", unique="10m").enqueue(7)
    again = await welcome.options(delay="5m", unique="10m").enqueue(7)
    assert not again.created  # the one that is there already
    await app.enqueue_many(welcome.plan(user) for user in range(1, 4))
    await asyncio.to_thread(welcome.enqueue_sync, 8)  # as Django, Flask and scripts do
    return [now, small]


async def main() -> list[object]:
    async with app.worker(queues={"critical": 6, "default": 3}):
        jobs = await enqueue()
        report = await app.enqueue("report:build", {"id": 7}, retention="1m")  # by name, without importing the handler
        called = await welcome.call(9, timeout="30s")  # enqueue, wait, and return the result
        earlier = welcome.job(jobs[0].id)  # a handle by the ID that a program has stored
        assert await earlier.result(timeout="30s") == await jobs[0].result(timeout="30s")
        return [called, *[await job.result(timeout="30s") for job in [*jobs, report]]]


if __name__ == "__main__":
    print(*asyncio.run(main()), sep="\n")
