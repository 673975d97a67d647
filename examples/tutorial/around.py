"""Middleware: code around each call and each enqueue; and a handler in Asynq's style."""

import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from rota import Context, Plan, Rota

app = Rota()


@app.middleware
async def announced(context: Context) -> AsyncGenerator[None]:
    print(f"> {context.type}", flush=True)
    try:
        yield  # the task runs here
    finally:
        print(f"< {context.type}", flush=True)


@app.enqueue_middleware
def with_origin(plan: Plan[Any]) -> Iterator[Plan[Any]]:
    yield plan.with_headers({"origin": "web-1"})


@app.task("page:render")
async def render(context: Context, path: str) -> str:
    return f"{path} for {context.headers['origin']}"


@app.handler("email:")  # email:welcome and email:welcome:sv, but not emails:send
async def any_mail(context: Context, payload: bytes) -> None:
    print(f"{context.type} to {json.loads(payload)['user_id']}", flush=True)
