"""Enqueue middleware: generators that yield once, at the point where the plan is sent.

Around a single enqueue, a middleware sees the error of the enqueue. Around a plan of a stream, it continues after the
`yield` when the chunk of the plan has been sent, and does not see errors: they are in the outcomes. An error that a
middleware raises before its `yield` is the outcome of that plan alone.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, cast

from rota import events
from rota.client.batch import Planned
from rota.client.plans import check_plan
from rota.core.text import unstopped
from rota.errors import EnqueueError, OptionError, RotaError
from rota.tasks.callback import async_manager, manager
from rota.tasks.job import Plan
from rota.tasks.middleware import EnqueueMiddleware

AsyncHook: TypeAlias = Callable[[Plan[Any]], AsyncGenerator[Plan[Any] | None]]
SyncHook: TypeAlias = Callable[[Plan[Any]], Generator[Plan[Any] | None]]


async def enter(
    stack: AsyncExitStack, middlewares: Sequence[EnqueueMiddleware], plan: Plan[Any], *, blocking: bool = False
) -> Plan[Any]:
    """Run every middleware up to its `yield`, the first one outermost. A plan that it yields replaces the given one.

    With `blocking`, an async generator is refused. So the coroutine never waits, and `finish` can run it.
    """
    for middleware in middlewares:
        if not inspect.isasyncgenfunction(middleware):
            changed = stack.enter_context(manager(cast(SyncHook, middleware), _who(middleware))(plan))
        elif blocking:
            raise OptionError(
                f"{_who(middleware)} is an async generator, so "
                "enqueue_sync cannot run it: write it as a plain generator (def), which both ways of enqueueing run."
            )
        else:
            around = async_manager(cast(AsyncHook, middleware), _who(middleware))
            changed = await stack.enter_async_context(around(plan))
        plan = _changed(middleware, plan, changed)
    return plan


def _changed(middleware: EnqueueMiddleware, plan: Plan[Any], changed: object) -> Plan[Any]:
    if changed is None:
        return plan
    if not isinstance(changed, Plan):
        raise OptionError(
            f"The enqueue middleware {getattr(middleware, '__qualname__', middleware)} yielded a "
            f"{type(changed).__name__}: yield the plan to send, or nothing to send it unchanged."
        )
    return cast("Plan[Any]", cast("object", changed))  # mypy and pyright narrow the isinstance check differently


async def enter_each(
    around: AsyncExitStack,
    middlewares: Sequence[EnqueueMiddleware],
    plans: Iterable[Planned],
    *,
    blocking: bool = False,
) -> list[Planned]:
    """Run the middlewares of many plans up to their `yield`. They continue when `around` is closed."""
    entered: list[Planned] = []
    for plan in plans:
        outcome: Planned = swallowed()
        if isinstance(plan, RotaError):
            outcome = plan
        else:
            try:
                check_plan(plan)
                async with AsyncExitStack() as stack:
                    outcome = await enter(stack, middlewares, plan, blocking=blocking)
                    around.push_async_exit(_leaving(stack.pop_all()))
            except Exception as error:
                outcome = _refused(error)
        entered.append(outcome)
    return entered


def _who(middleware: EnqueueMiddleware) -> str:
    return f"The enqueue middleware {getattr(middleware, '__qualname__', middleware)}"


def _leaving(stack: AsyncExitStack) -> Callable[[Any, Any, Any], Awaitable[bool]]:
    async def leave(*raised: Any) -> bool:
        try:
            await stack.__aexit__(*raised)
        except Exception as error:
            _log_unless_passed_on(error, raised[1])
        return False

    return leave


def _log_unless_passed_on(error: Exception, raised: object) -> None:
    if error is not raised:
        events.emit(events.EnqueueMiddlewareFailed(error=error))


def _refused(error: Exception) -> RotaError:
    if isinstance(error, RotaError):
        return error
    made = EnqueueError(
        f"An enqueue middleware raised {type(error).__name__}: {unstopped(error)}. The task was not sent."
    )
    made.__cause__ = error
    return made


def swallowed() -> EnqueueError:
    """Make the error for an enqueue whose own error was swallowed by a middleware."""
    return EnqueueError(
        "An enqueue middleware swallowed the error of the enqueue. It may look at an error, but has to raise it again: "
        "the caller must learn that the task was not enqueued."
    )
