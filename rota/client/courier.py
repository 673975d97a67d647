"""Carries requests to the broker, each once, and brings the answers: the asking half of the asyncio client."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from rota.broker.broker import Broker
from rota.broker.subscription import Subscription
from rota.client.acts import Act, Change, Command, Step
from rota.client.batch import Batch
from rota.client.repeating import repeated
from rota.client.replicas import Replicas
from rota.client.sender import Senders
from rota.errors import BrokerError, BrokerUnavailable
from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call

R = TypeVar("R")
T = TypeVar("T")


class Courier:
    """Sends again what lost its reply. With `replicas`, what is enqueued waits for them."""

    def __init__(self, broker: Broker, senders: Senders, replicas: Replicas | None) -> None:
        self._broker = broker
        self._senders = senders
        self._replicas = replicas
        self._run = broker.run if replicas is None else replicas.run

    def deliver(self, keys: QueueKeys, call: Call[T]) -> Coroutine[Any, Any, T]:
        """Run a script that enqueues. Raises `Unreplicated` where replicas are missing."""
        return self._once(keys, call, self._run)

    async def deliver_batch(self, batch: Batch) -> None:
        """Run the scripts of a batch in one burst, and settle it."""
        senders = [self._senders.take(sending.keys) for sending in batch.sendings]
        calls = [sender.once(sending.call) for sender, sending in zip(senders, batch.sendings, strict=True)]
        if self._replicas is not None:
            results = await asyncio.gather(*map(self._outcome, calls))
        else:
            results = await self._broker.run_many(calls)
        for sending, call, result in zip(batch.sendings, calls, results, strict=True):
            if isinstance(result, BrokerUnavailable) and result.maybe_applied and self._replicas is None:
                result = await self._outcome(call, result)
            batch.settle(sending, result)
        for sender in senders:
            self._senders.give(sender)

    async def command(self, *words: Argument, key: str | None) -> Any:
        """Run one plain command that is safe to repeat."""
        return await repeated(lambda: self._broker.execute(*words, key=key))

    async def act(self, act: Act[R], messages: Subscription | None = None) -> R:
        """Ask what an act wants to know, step by step, until it is over."""
        answer: Any = None
        error: BrokerError | None = None
        try:
            while True:
                step = act.send(answer) if error is None else act.throw(error)
                try:
                    answer, error = await self._take(step, messages), None
                except BrokerError as raised:
                    error = raised
        except StopIteration as end:
            return cast(R, end.value)

    async def _take(self, step: Step, messages: Subscription | None) -> Any:
        if isinstance(step, Change):
            return await self._once(step.keys, step.call, self._broker.run)
        if isinstance(step, Call):
            return await repeated(lambda: self._broker.run(step))
        if isinstance(step, Command):
            return await self.command(*step.words, key=step.key)
        if messages is None:
            return await asyncio.sleep(step.seconds)
        try:
            async with asyncio.timeout(step.seconds):
                return (await messages.get())[1]
        except TimeoutError:
            return None

    async def _once(self, keys: QueueKeys, call: Call[T], run: Callable[[Call[T]], Awaitable[T]]) -> T:
        sender = self._senders.take(keys)
        try:
            stamped = sender.once(call)
            try:
                return await run(stamped)
            except BrokerUnavailable as lost:
                if not lost.maybe_applied:
                    raise
                return await repeated(lambda: run(stamped), lost)
        finally:
            self._senders.give(sender)

    async def _outcome(self, call: Call[T], lost: BrokerUnavailable | None = None) -> T | BrokerError:
        try:
            return await repeated(lambda: self._run(call), lost)
        except BrokerError as error:
            return error
