"""Code around every call: on the worker's side a timer, at enqueue a header that travels with the task."""

import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from rota import Context, Plan, Rota

app = Rota()
timings: dict[str, float] = {}


@app.middleware
async def timed(context: Context) -> AsyncGenerator[None]:
    started = time.perf_counter()
    try:
        yield  # the task runs here
    finally:
        timings[context.type] = time.perf_counter() - started


@app.enqueue_middleware
def with_origin(plan: Plan[Any]) -> Iterator[Plan[Any]]:
    yield plan.with_headers({"origin": "web-1"})


@app.task("page:render")
async def render(context: Context, path: str) -> str:
    return f"{path} for {context.headers['origin']}"
