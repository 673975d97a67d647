"""Sends many plans in few calls: cuts a stream into chunks, and keeps the outcomes in the order of the plans.

Each plan has its own outcome, even if another plan cannot be packed, the iterable raises in the middle, or the server
goes away after half of the chunks.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from rota.client.delivery import Unreplicated
from rota.client.packing import Packed, Packer, created, refusal
from rota.client.plans import not_a_plan
from rota.core.text import unstopped
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable, EnqueueError, RotaError
from rota.tasks.handler import cancelled_here
from rota.tasks.job import Plan, Receipt
from rota.wire.enqueue import Item, Reply, enqueue, enqueue_plain
from rota.wire.keys import QueueKeys
from rota.wire.script import Call

_UNSENT = EnqueueError("The task was not sent: its stream was closed before.")

CHUNK_BYTES = 4 * 1024 * 1024
"""A request is full once its payloads have this size. A worker's fetch has the same limit."""

ReceiptT = TypeVar("ReceiptT", bound=Receipt)

Rows = list[tuple[int, Packed]]
Planned = Plan[Any] | RotaError
"""A plan, or the error in its place."""


class Sending(NamedTuple):
    """One call of a chunk, and the indexes of its tasks in the chunk."""

    call: Call[Any]
    keys: QueueKeys
    rows: Rows


class Batch:
    """One chunk of plans. Once every sending is settled, `outcomes` has a reply or an error for each plan."""

    def __init__(self, packer: Packer, plans: Sequence[Planned]) -> None:
        self.plans = plans
        self.queues: list[str] = [""] * len(plans)
        self.outcomes: list[Reply | RotaError] = [_UNSENT] * len(plans)
        self.sendings: list[Sending] = []
        self.unreplicated: dict[int, Unreplicated] = {}
        by_queue: dict[QueueKeys, Rows] = {}
        for index, plan in enumerate(plans):
            try:
                self._put(packer, index, plan, by_queue)
            except RotaError as error:  # concerns this plan alone, for example a string that is not valid Unicode
                self.outcomes[index] = error
            except Exception as error:  # a plan made by hand, whose fields have wrong types
                self.outcomes[index] = not_a_plan(plan, error)
        self.sendings += [_sending(keys, rows) for keys, rows in by_queue.items()]

    def _put(self, packer: Packer, index: int, plan: Planned, by_queue: dict[QueueKeys, Rows]) -> None:
        if not isinstance(plan, Plan):
            # The caller's iterable yielded something else.
            raise plan if isinstance(plan, RotaError) else not_a_plan(plan)  # pyright: ignore[reportUnnecessaryIsInstance]
        joined = plan.options.debounce
        if joined is None:
            packed = packer.pack(plan)
            self.queues[index] = packed.keys.queue
            rows = by_queue.get(packed.keys)
            if rows is None:
                rows = by_queue[packed.keys] = []
            rows.append((index, packed))
            return
        packed, call = packer.debounced(plan, joined)
        self.queues[index] = packed.keys.queue
        self.sendings.append(Sending(call, packed.keys, [(index, packed)]))

    def settle(self, sending: Sending, result: "list[Reply] | Reply | int | RotaError") -> None:
        """Record the outcome of one sending."""
        rows = sending.rows
        if isinstance(result, Unreplicated):
            self.unreplicated |= dict.fromkeys((index for index, _ in rows), result)
            result = result.reply
        if isinstance(result, int):
            for index, packed in rows:
                self.outcomes[index] = created(packed)
        elif isinstance(result, list):
            for (index, _), reply in zip(rows, result, strict=True):
                self.outcomes[index] = reply
        elif isinstance(result, BrokerError) and result.maybe_applied:
            for index, packed in rows:
                self.outcomes[index] = of_task(result, packed)
        else:
            for index, _ in rows:
                self.outcomes[index] = result

    def fail(self, error: RotaError) -> None:
        """Record an error that kept all tasks of this chunk from being sent."""
        for sending in self.sendings:
            self.settle(sending, error)
        self.sendings = []

    def give_up(self, unreachable: Mapping[str, RotaError]) -> None:
        """Record the errors of keys whose server cannot be reached, and do not send their tasks."""
        for sending in self.sendings:
            if error := unreachable.get(sending.call.keys[0]):
                self.settle(sending, error)
        self.sendings = [sending for sending in self.sendings if sending.call.keys[0] not in unreachable]

    def names(self) -> list[str]:
        """Return the queues that this chunk goes to."""
        return list(dict.fromkeys(sending.keys.queue for sending in self.sendings))

    def settled(self) -> list[Reply | RotaError]:
        """Return the outcome of each plan, in order: a reply, or the error that the reply means."""
        rows = zip(self.plans, self.queues, self.outcomes, strict=True)
        return [
            outcome if isinstance(outcome, RotaError) else refusal(cast("Plan[Any]", plan), queue, outcome) or outcome
            for plan, queue, outcome in rows
        ]

    def judged(self, results: "list[ReceiptT | RotaError]") -> "list[ReceiptT | RotaError]":
        """Replace each receipt whose task has reached too few replicas by an error."""
        for index, missing in self.unreplicated.items():
            receipt = results[index]
            if not isinstance(receipt, RotaError):
                results[index] = missing.of(receipt)
        return results


def _sending(keys: QueueKeys, rows: Rows) -> Sending:
    # All tasks of a queue go into one call, with or without items, so that they keep their order.
    if any(packed.item is not None for _, packed in rows):
        items = [packed.item or Item(packed.id, packed.message, mark=packed.id) for _, packed in rows]
        return Sending(enqueue(keys, items), keys, rows)
    pairs: list[str | bytes] = []
    for _, packed in rows:
        pairs += (packed.id, packed.message)
    return Sending(enqueue_plain(keys, pairs), keys, rows)


def of_task(error: BrokerError, packed: Packed) -> BrokerError:
    """Make the error of one task from the error of a request that may have been carried out."""
    kind = BrokerRefused if isinstance(error, BrokerRefused) else BrokerUnavailable
    made = kind(
        f"{error} If it was, task {packed.id!r} is in queue {packed.keys.queue!r}: look it up, or enqueue it again "
        "under this ID (task_id=...).",
        maybe_applied=True,
        task_id=packed.id,
    )
    made.__cause__ = error
    return made


def cut(plans: Iterable[Plan[Any]], size: int) -> Iterator[list[Planned]]:
    """Cut an iterable into lists of at most `size`. The iterable is not read ahead of the current list.

    A list ends early at `CHUNK_BYTES`, because a server refuses a request with too many large payloads. If the iterable
    raises, the last item of the last list is that error.
    """
    chunk: list[Planned] = []
    room = CHUNK_BYTES
    try:
        for plan in plans:
            chunk.append(plan)
            room -= _size(plan)
            if len(chunk) >= size or room <= 0:
                yield chunk
                chunk, room = [], CHUNK_BYTES
    except (Exception, asyncio.CancelledError) as error:  # without an await, only the iterable itself can cancel
        chunk.append(_broken_off(error))
    if chunk:
        yield chunk


async def in_chunks(plans: "Iterable[Plan[Any]] | AsyncIterable[Plan[Any]]", size: int) -> AsyncIterator[list[Planned]]:
    """Cut a plain or async iterable (see `cut`)."""
    if not isinstance(plans, AsyncIterable):
        # Not through the loop below: one step of an async generator for each plan would cost more than the loop itself.
        for some in cut(plans, size):
            yield some
        return
    chunk: list[Planned] = []
    room = CHUNK_BYTES
    try:
        async for plan in plans:
            chunk.append(plan)
            room -= _size(plan)
            if len(chunk) >= size or room <= 0:
                yield chunk
                chunk, room = [], CHUNK_BYTES
    except (Exception, asyncio.CancelledError) as error:
        if cancelled_here(error):
            raise
        chunk.append(_broken_off(error))
    if chunk:
        yield chunk


def _size(plan: object) -> int:
    payload = getattr(plan, "payload", b"")
    return len(payload) if isinstance(payload, bytes) else 0


def _broken_off(error: BaseException) -> EnqueueError:
    try:
        said = str(error)
    except Exception:  # raised by the caller's class
        said = "its text cannot be read"
    made = EnqueueError(
        f"The iterable of plans raised {type(error).__name__}: {unstopped(said)}. The plans that it gave before have "
        "outcomes of their own; what it would have given after is not enqueued."
    )
    made.__cause__ = error
    return made
