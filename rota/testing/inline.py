"""Runs one handler without a server, for unit tests.

The layers of a run are those of a worker: enqueue middleware, the payload as JSON, validation, the lifespan,
dependencies with `app.overrides`, middleware, and the time limit. The parts that need a queue are left out: retries,
hooks, concurrency limits, stored results, progress and log lines. `Sandbox.drain` has those.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from rota.app import Rota
from rota.client.hooks import enter
from rota.core.sync_bridge import in_own_thread
from rota.core.text import did_you_mean
from rota.errors import OptionError, RoutingError
from rota.tasks.context import SILENT, Context
from rota.tasks.handler import Handler
from rota.tasks.job import Plan
from rota.testing.sandbox import run_blocking
from rota.wire.enqueue import new_task_id
from rota.wire.message import timeout_text
from rota.wire.proto import TaskMessage

R = TypeVar("R")

DEFAULT_TIMEOUT = timedelta(minutes=30)


async def run_inline(app: Rota, plan: Plan[R], *, retried: int = 0, last_error: str = "") -> R:
    """Run the handler of a plan here and now, and return what it returns.

    Raises the handler's error, PayloadError for a payload that does not fit, and TimeoutError after the time limit.
    `retried` and `last_error` are what the handler finds in its context: 0 and empty in a first run.
    """
    if not isinstance(app, Rota) or not isinstance(plan, Plan):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(
            f"run_inline takes an app and a plan, not {type(app).__name__} and {type(plan).__name__}: write "
            "run_inline(app, task.plan(...)) with the arguments of the run."
        )
    async with AsyncExitStack() as stack:
        plan = await enter(stack, app.enqueue_middlewares, plan)
    handler = app.find_handler(plan.type)
    if handler is None:
        known = [each.type for each in app.registry]
        raise RoutingError(f"The app has no handler for {plan.type!r}. {did_you_mean(plan.type, known)}")
    async with app.lifespan_state() as state:
        # A task of its own, as in a worker, so that `current()` ends with the run.
        return cast("R", await asyncio.create_task(_run(handler, plan, state, retried, last_error)))


def run_inline_sync(app: Rota, plan: Plan[R], *, retried: int = 0, last_error: str = "") -> R:
    """Run the handler of a plan from blocking code (see `run_inline`), in an event loop of its own."""
    work = run_inline(app, plan, retried=retried, last_error=last_error)
    return run_blocking(work, "await run_inline(app, plan)")


async def _run(handler: Handler, plan: Plan[Any], state: Any, retried: int, last_error: str) -> Any:
    limit, now = plan.options.timeout or handler.timeout or DEFAULT_TIMEOUT, datetime.now(UTC)
    if plan.options.deadline is not None:
        limit = min(limit, max(plan.options.deadline - now, timedelta(0)))
    ends_at = now + limit
    context = Context(_message(handler, plan, retried, last_error), SILENT, ends_at.timestamp(), state)

    async def in_thread(function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {}) -> Any:
        return await in_own_thread(function, *args, **kwargs)

    timer = asyncio.timeout(limit.total_seconds())
    try:
        async with timer:
            return await handler.invoke(context, plan.payload, None if handler.run == "loop" else in_thread)
    except TimeoutError as error:
        if not timer.expired():
            raise
        text = timeout_text(limit.total_seconds())
        context.cancel(text)  # for a function that runs on in its thread
        raise TimeoutError(text) from error


def _message(handler: Handler, plan: Plan[Any], retried: int, last_error: str) -> TaskMessage:
    options = plan.options
    return TaskMessage(
        type=plan.type,
        payload=plan.payload,
        headers=dict(options.headers),
        id=options.task_id or new_task_id(),
        queue=options.queue or "default",
        retry=handler.retry.max if options.max_retry is None else options.max_retry,
        retried=retried,
        error_msg=last_error,
        group_key=options.group or "",
        timeout=int((options.timeout or timedelta(0)).total_seconds()),
    )
