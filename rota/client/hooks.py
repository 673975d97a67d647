"""Middleware on the enqueue side: generators that yield once, where the plan is sent.

Around a single enqueue they see its error. Around the plans of a stream they are left when their chunk was sent,
and what was refused is in the results.
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any, TypeAlias, cast

from rota.enqueued import Plan
from rota.errors import EnqueueError, OptionError
from rota.middleware import EnqueueMiddleware

AsyncHook: TypeAlias = Callable[[Plan[Any]], AsyncGenerator[Plan[Any] | None]]
SyncHook: TypeAlias = Callable[[Plan[Any]], Generator[Plan[Any] | None]]


async def enter(stack: AsyncExitStack, middlewares: Sequence[EnqueueMiddleware], plan: Plan[Any]) -> Plan[Any]:
    """Run every middleware up to its `yield`, the first one outermost. A plan that one yields replaces ours."""
    for middleware in middlewares:
        if inspect.isasyncgenfunction(middleware):
            changed = await stack.enter_async_context(asynccontextmanager(cast(AsyncHook, middleware))(plan))
        else:
            changed = stack.enter_context(contextmanager(cast(SyncHook, middleware))(plan))
        plan = plan if changed is None else changed
    return plan


def enter_sync(stack: ExitStack, middlewares: Sequence[EnqueueMiddleware], plan: Plan[Any]) -> Plan[Any]:
    """Do the same from blocking code, which cannot run an async generator."""
    for middleware in middlewares:
        if inspect.isasyncgenfunction(middleware):
            raise OptionError(
                f"The enqueue middleware {getattr(middleware, '__qualname__', middleware)} is an async generator, so "
                "enqueue_sync cannot run it: write it as a plain generator (def), which both ways of enqueueing run."
            )
        changed = stack.enter_context(contextmanager(cast(SyncHook, middleware))(plan))
        plan = plan if changed is None else changed
    return plan


def swallowed() -> EnqueueError:
    """Make the error of an enqueue whose error a middleware did not raise again."""
    return EnqueueError(
        "An enqueue middleware swallowed the error of the enqueue. It may look at an error, but has to raise it again: "
        "the caller must learn that the task was not enqueued."
    )
