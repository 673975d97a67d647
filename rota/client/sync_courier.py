"""The same as `courier`, for blocking code."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar, cast

from rota.broker.sync import SyncBroker, SyncSubscription
from rota.client.acts import Act, Change, Command, Step
from rota.client.batch import Batch
from rota.client.repeating import repeated_sync
from rota.client.replicas import SyncReplicas
from rota.client.sender import Senders
from rota.errors import BrokerError, BrokerUnavailable
from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call

R = TypeVar("R")
T = TypeVar("T")


class SyncCourier:
    """Sends again what lost its reply. With `replicas`, what is enqueued waits for them."""

    def __init__(self, broker: SyncBroker, senders: Senders, replicas: SyncReplicas | None) -> None:
        self._broker = broker
        self._senders = senders
        self._replicas = replicas
        self._run = broker.run if replicas is None else replicas.run

    def deliver(self, keys: QueueKeys, call: Call[T]) -> T:
        """Run a script that enqueues. Raises `Unreplicated` where replicas are missing."""
        return self._once(keys, call, self._run)

    def deliver_batch(self, batch: Batch) -> None:
        """Run the scripts of a batch in one burst, and settle it."""
        senders = [self._senders.take(sending.keys) for sending in batch.sendings]
        calls = [sender.once(sending.call) for sender, sending in zip(senders, batch.sendings, strict=True)]
        if self._replicas is not None:
            results = [self._outcome(call) for call in calls]
        else:
            results = self._broker.run_many(calls)
        for sending, call, result in zip(batch.sendings, calls, results, strict=True):
            if isinstance(result, BrokerUnavailable) and result.maybe_applied and self._replicas is None:
                result = self._outcome(call, result)
            batch.settle(sending, result)
        for sender in senders:
            self._senders.give(sender)

    def command(self, *words: Argument, key: str | None) -> Any:
        """Run one plain command that is safe to repeat."""
        return repeated_sync(lambda: self._broker.execute(*words, key=key))

    def act(self, act: Act[R], messages: SyncSubscription | None = None) -> R:
        """Ask what an act wants to know, step by step, until it is over."""
        answer: Any = None
        error: BrokerError | None = None
        try:
            while True:
                step = act.send(answer) if error is None else act.throw(error)
                try:
                    answer, error = self._take(step, messages), None
                except BrokerError as raised:
                    error = raised
        except StopIteration as end:
            return cast(R, end.value)

    def _take(self, step: Step, messages: SyncSubscription | None) -> Any:
        if isinstance(step, Change):
            return self._once(step.keys, step.call, self._broker.run)
        if isinstance(step, Call):
            return repeated_sync(lambda: self._broker.run(step))
        if isinstance(step, Command):
            return self.command(*step.words, key=step.key)
        if messages is not None:
            with suppress(BrokerUnavailable):  # the connection is lost, and looking goes on
                message = messages.get(timedelta(seconds=step.seconds))
                return None if message is None else message[1]
        return time.sleep(step.seconds)

    def _once(self, keys: QueueKeys, call: Call[T], run: Callable[[Call[T]], T]) -> T:
        sender = self._senders.take(keys)
        try:
            stamped = sender.once(call)
            return repeated_sync(lambda: run(stamped))
        finally:
            self._senders.give(sender)

    def _outcome(self, call: Call[T], lost: BrokerUnavailable | None = None) -> T | BrokerError:
        try:
            return repeated_sync(lambda: self._run(call), lost)
        except BrokerError as error:
            return error
