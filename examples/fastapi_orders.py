"""FastAPI: enqueue in a request, and look a task up. The worker runs inside the web program, or beside it.

Inside: `uvicorn examples.fastapi_orders:web`. Beside: `rota worker examples.fastapi_orders:app` and
`WORKER_INSIDE=no uvicorn examples.fastapi_orders:web`.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, HTTPException

from rota import Rota, TaskNotFound

app = Rota()


@app.task("order:ship", retention="1h")
async def ship(order: int) -> str:
    return f"order {order} is on its way"


@asynccontextmanager
async def lifespan(web: FastAPI) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.lifespan(web))  # closes the connections at the end
        if os.environ.get("WORKER_INSIDE") != "no":
            await stack.enter_async_context(app.worker(concurrency=20))
        yield


web = FastAPI(lifespan=lifespan)


@web.post("/orders/{order}/ship", status_code=202)
async def ship_order(order: int) -> dict[str, str]:
    job = await ship.enqueue(order)
    return {"task": job.id}


@web.get("/tasks/{task_id}")
async def show_task(task_id: str) -> dict[str, str]:
    try:
        info = await ship.job(task_id).info()
    except TaskNotFound as error:
        raise HTTPException(404, "There is no such task.") from error
    return {"state": info.state, "result": info.result.decode()}
