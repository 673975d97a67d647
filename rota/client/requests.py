"""Sends the requests of a client, and sends a request again if its answer was lost.

An operation is a generator. It yields a step, and receives the answer or the error. So each operation is written once.
`Driver.carry_out` runs it. `Requests` has the few methods that send and wait for asyncio, and `SyncRequests` those for
blocking code. Its methods are coroutines too, but they block instead of waiting, so `finish` runs them in one go.

A request whose answer was lost may have been carried out. The driver sends it again, at least once and for at most
`retry_for`. This is safe because every client script recognizes what an earlier sending wrote. If no answer comes, the
error says that the request may have been carried out (`maybe_applied`).
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from rota.client.steps import (
    Act,
    Beside,
    Burst,
    Change,
    Command,
    Enqueue,
    Everywhere,
    Listen,
    Outside,
    Pause,
    Reach,
    Request,
    Step,
    asked_again,
)
from rota.core.sync_bridge import finish
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable, RotaError
from rota.wire.script import Argument, Call

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.subscription import Subscription
    from rota.broker.sync import SyncBroker, SyncSubscription
    from rota.client.replicas import Replicas, SyncReplicas

R = TypeVar("R")
T = TypeVar("T")

# A wait with a time limit ends by itself, after a last look at the task. If the broker does not answer, it is ended so
# much later. Then the error cannot tell the state of the task, so a look at a busy server needs enough time.
_LATE_SECONDS = 1.0


Ask: TypeAlias = Callable[[Any], Awaitable[Any]]


def _call(request: Call[Any] | Change) -> Call[Any]:
    return request.call if isinstance(request, Change) else request


class Driver(ABC):
    """Carries out operations."""

    enqueue: Callable[[Call[Any]], Awaitable[Any]]
    """Runs one script that enqueues. If it raises `BrokerUnavailable`, call `enqueue_again`."""

    def __init__(self, retry_for: timedelta, *, waits_for_replicas: bool) -> None:
        self.seconds = retry_for.total_seconds()
        self._waits_for_replicas = waits_for_replicas

    async def carry_out(self, act: Act[R], messages: Any = None) -> R:
        """Run each step of an operation until its end, and return its result.

        An interruption is raised in the operation too, so that it can close what it has opened.
        """
        answer: Any = None
        error: BaseException | None = None
        try:
            while True:
                step = act.send(answer) if error is None else act.throw(error)
                try:
                    answer, error = await self._take(step, messages), None
                except (RotaError, asyncio.CancelledError, KeyboardInterrupt) as raised:
                    error = raised
        except StopIteration as end:
            return cast(R, end.value)

    async def enqueue_again(self, call: Call[T], lost: BrokerUnavailable) -> T:
        """Send a script that enqueues again if it may have been carried out. Otherwise raise `lost`."""
        return cast(T, await self._again(Burst([call], enqueues=True), lost))

    @abstractmethod
    async def listen(self, channel: str, act: Callable[[], Act[R]], seconds: float | None) -> R:
        """Carry out an operation that waits for announcements on a channel.

        `act` is called again without the channel if the server does not permit the subscription.
        """

    async def _take(self, step: Step, messages: Any) -> Any:
        match step:
            case Call() | Command() | Change():
                try:
                    return await self._ask(step)
                except BrokerUnavailable as lost:
                    return await self._again(Burst([step]), lost)
            case Enqueue(call):
                try:
                    return await self.enqueue(call)
                except BrokerUnavailable as lost:
                    return await self.enqueue_again(call, lost)
            case Burst(requests, enqueues, again):
                outcomes = await self._ask_all(requests, enqueues)
                return await self.carry_out(asked_again(step, outcomes, self.seconds)) if again else outcomes
            case Reach(keys):
                return await self._reach(keys)
            case Everywhere(words):
                return await self._everywhere_again(words)
            case Listen(seconds):
                return await self._next_message(messages, seconds)
            case Pause(seconds):
                return await self._next_message(None, seconds)
            case Outside(act, runner):
                return await self._outside(act, runner)
            case Beside(outside, act):
                return await self._beside(outside, act)

    async def _again(self, burst: Burst, lost: BrokerUnavailable) -> Any:
        if not lost.maybe_applied:
            raise lost
        [outcome] = await self.carry_out(asked_again(burst, [lost], self.seconds))
        if isinstance(outcome, BrokerError):
            raise outcome
        return outcome

    async def _everywhere_again(self, words: tuple[Argument, ...]) -> dict[str, Any]:
        try:
            return await self._everywhere(words)
        except BrokerUnavailable as lost:
            if not lost.maybe_applied:
                raise
            return await self._everywhere(words)

    async def _ask(self, request: Request) -> Any:
        if isinstance(request, Command):
            return await self._execute(request)
        return await self._run(_call(request))

    async def _ask_all(self, requests: Sequence[Request], enqueues: bool) -> list[Any]:
        calls = [_call(request) for request in requests if not isinstance(request, Command)]
        if len(calls) == len(requests) and not (enqueues and self._waits_for_replicas):
            return await self._run_many(calls)
        ask = self.enqueue if enqueues else self._ask
        return await self._together(ask, requests)

    @abstractmethod
    async def _run(self, call: Call[Any]) -> Any: ...

    @abstractmethod
    async def _execute(self, command: Command) -> Any: ...

    @abstractmethod
    async def _run_many(self, calls: Sequence[Call[Any]]) -> list[Any]: ...

    @abstractmethod
    async def _together(self, ask: Ask, requests: Sequence[Request]) -> list[Any]: ...

    @abstractmethod
    async def _reach(self, keys: Sequence[str]) -> dict[str, BrokerError]: ...

    @abstractmethod
    async def _everywhere(self, words: tuple[Argument, ...]) -> dict[str, Any]: ...

    @abstractmethod
    async def _next_message(self, messages: Any, seconds: float) -> bytes | None:
        """Wait up to `seconds` for a message of a subscription. Without a subscription, wait `seconds`."""

    @abstractmethod
    async def _outside(self, act: Callable[[], Coroutine[Any, Any, Any]], runner: asyncio.Runner | None) -> Any: ...

    @abstractmethod
    async def _beside(self, outside: Outside, act: Act[Any]) -> tuple[Any, Any]: ...

    @staticmethod
    async def _outcome(ask: Ask, request: Request) -> Any:
        try:
            return await ask(request)
        except BrokerError as error:
            return error


class Requests(Driver):
    """Sends and waits for asyncio. With `replicas`, an enqueue waits for its replication."""

    def __init__(self, broker: "Broker", replicas: "Replicas | None" = None) -> None:
        super().__init__(broker.options.retry_for, waits_for_replicas=replicas is not None)
        self._broker = broker
        self.enqueue = broker.run if replicas is None else replicas.run

    async def listen(self, channel: str, act: Callable[[], Act[R]], seconds: float | None) -> R:
        """Carry out an operation that waits for announcements. Raises TimeoutError if no answer comes in time."""
        # The operation keeps its own time limit. This timeout is for a broker that does not answer.
        async with asyncio.timeout(None if seconds is None else seconds + _LATE_SECONDS):
            try:
                async with self._broker.subscribe(channel) as messages:
                    return await self.carry_out(act(), messages)
            except BrokerRefused:  # no permission to subscribe, so only poll
                return await self.carry_out(act())

    async def _run(self, call: Call[Any]) -> Any:
        return await self._broker.run(call)

    async def _execute(self, command: Command) -> Any:
        return await self._broker.execute(*command.words, key=command.key)

    async def _run_many(self, calls: Sequence[Call[Any]]) -> list[Any]:
        return await self._broker.run_many(calls)

    async def _together(self, ask: Ask, requests: Sequence[Request]) -> list[Any]:
        return await asyncio.gather(*(self._outcome(ask, request) for request in requests))

    async def _reach(self, keys: Sequence[str]) -> dict[str, BrokerError]:
        return await self._broker.reach(keys)

    async def _everywhere(self, words: tuple[Argument, ...]) -> dict[str, Any]:
        return await self._broker.execute_everywhere(*words)

    async def _outside(self, act: Callable[[], Coroutine[Any, Any, Any]], runner: asyncio.Runner | None) -> Any:
        return await act()

    async def _beside(self, outside: Outside, act: Act[Any]) -> tuple[Any, Any]:
        going_on = asyncio.ensure_future(outside.act())
        try:
            result = await self.carry_out(act)
            return await going_on, result
        finally:
            if not going_on.done():
                going_on.cancel()
                await asyncio.wait([going_on])

    async def _next_message(self, messages: "Subscription | None", seconds: float) -> bytes | None:
        if messages is None:
            await asyncio.sleep(seconds)
            return None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return (await messages.get())[1]
        return None


def _wait(future: Future[Any]) -> None:
    """Wait for the end of a future also if the user interrupts: what it uses is closed afterwards."""
    interrupted = False
    while not future.done():
        try:
            wait([future])
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt


class SyncRequests(Driver):
    """Sends and waits for blocking code. Its coroutines never wait: run them with `finish`."""

    def __init__(self, broker: "SyncBroker", replicas: "SyncReplicas | None" = None) -> None:
        super().__init__(broker.options.retry_for, waits_for_replicas=replicas is not None)
        self._broker = broker
        self._run_enqueue = broker.run if replicas is None else replicas.run
        self.enqueue = self._enqueue

    async def _enqueue(self, call: Call[Any]) -> Any:
        return self._run_enqueue(call)

    async def listen(self, channel: str, act: Callable[[], Act[R]], seconds: float | None) -> R:
        """Carry out an operation that waits for announcements. Raises TimeoutError if no answer comes in time."""
        if seconds is None:
            return await self._listen(channel, act)
        limit, limited = time.monotonic() + seconds + _LATE_SECONDS, copy(self)
        limited.seconds, limited._broker = 0, self._broker.until(limit)
        try:
            return await limited._listen(channel, act)
        except BrokerUnavailable:
            if time.monotonic() < limit:
                raise
            raise TimeoutError from None

    async def _listen(self, channel: str, act: Callable[[], Act[R]]) -> R:
        try:
            with self._broker.subscribe(channel) as messages:
                return await self.carry_out(act(), messages)
        except BrokerRefused:  # no permission to subscribe, so only poll
            return await self.carry_out(act())

    async def _run(self, call: Call[Any]) -> Any:
        return self._broker.run(call)

    async def _execute(self, command: Command) -> Any:
        return self._broker.execute(*command.words, key=command.key)

    async def _run_many(self, calls: Sequence[Call[Any]]) -> list[Any]:
        return self._broker.run_many(calls)

    async def _together(self, ask: Ask, requests: Sequence[Request]) -> list[Any]:
        return [await self._outcome(ask, request) for request in requests]

    async def _reach(self, keys: Sequence[str]) -> dict[str, BrokerError]:
        return {}  # nothing to do: a blocking burst connects by itself and waits for its answers

    async def _everywhere(self, words: tuple[Argument, ...]) -> dict[str, Any]:
        return self._broker.execute_everywhere(*words)

    async def _outside(self, act: Callable[[], Coroutine[Any, Any, Any]], runner: asyncio.Runner | None) -> Any:
        return asyncio.run(act()) if runner is None else runner.run(act())

    async def _beside(self, outside: Outside, act: Act[Any]) -> tuple[Any, Any]:
        # The new thread comes first, so the server works while the outside keeps this one busy.
        with ThreadPoolExecutor(1) as pool:
            going_on = pool.submit(lambda: finish(self.carry_out(act)))
            try:
                result = await self._outside(outside.act, outside.runner)
            finally:
                _wait(going_on)
        return result, going_on.result()

    async def _next_message(self, messages: "SyncSubscription | None", seconds: float) -> bytes | None:
        if messages is not None:
            with suppress(BrokerUnavailable):  # the subscription is lost, so sleep and then poll
                message = messages.get(timedelta(seconds=seconds))
                return None if message is None else message[1]
        time.sleep(seconds)  # noqa: ASYNC251  # meant to block
        return None
