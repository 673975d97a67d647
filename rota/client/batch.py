"""Many plans as few calls: one chunk of a stream, its calls, and its results in the order of the plans."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from rota.client.packing import Packed, Packer, created, refusal
from rota.client.replicas import Unreplicated
from rota.enqueued import Plan, Receipt
from rota.errors import EnqueueError, RotaError
from rota.wire.enqueue import Item, Reply, enqueue, enqueue_plain
from rota.wire.keys import QueueKeys
from rota.wire.script import Call

_UNSENT = EnqueueError("The task was not sent: its stream was closed before.")

ReceiptT = TypeVar("ReceiptT", bound=Receipt)

Rows = list[tuple[int, Packed]]


class Sending(NamedTuple):
    """One call of a chunk, and the places of its tasks in the chunk."""

    call: Call[Any]
    keys: QueueKeys
    rows: Rows


class Batch:
    """One chunk of plans. `outcomes` has a reply or an error for each, once every sending was settled."""

    def __init__(self, packer: Packer, plans: Sequence[Plan[Any]]) -> None:
        self.plans = plans
        self.queues: list[str] = [""] * len(plans)
        self.outcomes: list[Reply | RotaError] = [_UNSENT] * len(plans)
        self.sendings: list[Sending] = []
        self.unreplicated: dict[int, Unreplicated] = {}
        by_queue: dict[QueueKeys, Rows] = {}
        for index, plan in enumerate(plans):
            try:
                self._put(packer, index, plan, by_queue)
            except RotaError as error:  # of this plan alone: a text that is no UTF-8, a name that is no key
                self.outcomes[index] = error
        self.sendings += [_sending(keys, rows) for keys, rows in by_queue.items()]

    def _put(self, packer: Packer, index: int, plan: Plan[Any], by_queue: dict[QueueKeys, Rows]) -> None:
        joined = plan.options.debounce
        if joined is None:
            packed = packer.pack(plan)
            self.queues[index] = packed.keys.queue
            rows = by_queue.get(packed.keys)
            if rows is None:
                rows = by_queue[packed.keys] = []
            rows.append((index, packed))
            return
        keys, call = packer.debounced(plan, joined)
        self.queues[index] = keys.queue
        self.sendings.append(Sending(call, keys, [(index, Packed(keys, "", b"", None))]))

    def settle(self, sending: Sending, result: "list[Reply] | Reply | int | RotaError") -> None:
        """Note what one sending came to."""
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
        else:
            for index, _ in rows:
                self.outcomes[index] = result

    def fail(self, error: RotaError) -> None:
        """Note an error that kept every task of this chunk from being sent."""
        for sending in self.sendings:
            self.settle(sending, error)
        self.sendings = []

    def give_up(self, unreachable: Mapping[str, RotaError]) -> None:
        """Note which keys cannot be reached: their tasks are not sent."""
        for sending in self.sendings:
            if error := unreachable.get(sending.call.keys[0]):
                self.settle(sending, error)
        self.sendings = [sending for sending in self.sendings if sending.call.keys[0] not in unreachable]

    def names(self) -> list[str]:
        """Return the queues that this chunk goes to."""
        return list(dict.fromkeys(sending.keys.queue for sending in self.sendings))

    def settled(self) -> list[Reply | RotaError]:
        """Return what came of each plan, in their order: a reply, or the error that it means."""
        rows = zip(self.plans, self.queues, self.outcomes, strict=True)
        return [
            outcome if isinstance(outcome, RotaError) else refusal(plan, queue, outcome) or outcome
            for plan, queue, outcome in rows
        ]

    def judged(self, results: "list[ReceiptT | RotaError]") -> "list[ReceiptT | RotaError]":
        """Put an error in the place of each receipt that too few replicas know of."""
        for index, missing in self.unreplicated.items():
            receipt = results[index]
            if not isinstance(receipt, RotaError):
                results[index] = missing.of(receipt)
        return results


def _sending(keys: QueueKeys, rows: Rows) -> Sending:
    # A queue is sent as a whole either way, so that its tasks keep their order.
    if any(packed.item is not None for _, packed in rows):
        items = [packed.item or Item(packed.id, packed.message) for _, packed in rows]
        return Sending(enqueue(keys, items), keys, rows)
    pairs: list[str | bytes] = []
    for _, packed in rows:
        pairs += (packed.id, packed.message)
    return Sending(enqueue_plain(keys, pairs), keys, rows)


def cut(plans: Iterable[Plan[Any]], size: int) -> Iterator[list[Plan[Any]]]:
    """Cut an iterable into lists of at most `size`, and take no more of it than the list at hand."""
    rest = iter(plans)
    while chunk := list(islice(rest, size)):
        yield chunk


async def in_chunks(
    plans: "Iterable[Plan[Any]] | AsyncIterable[Plan[Any]]", size: int
) -> AsyncIterator[list[Plan[Any]]]:
    """Cut an iterable of either kind."""
    if not isinstance(plans, AsyncIterable):
        for some in cut(plans, size):
            yield some
        return
    chunk: list[Plan[Any]] = []
    async for plan in plans:
        chunk.append(plan)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
