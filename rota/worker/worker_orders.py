"""Obeys the orders to this worker, each one once.

The steps of an order:

1. The heartbeat reads it, in its own thread, and hands it to `receive`.
2. The worker obeys it in its event loop, and emits an event. If it cannot obey, its answer is the reason.
3. The next heartbeat, which is sent at once, carries the answer to the server.

An order for the whole fleet, and every order to stop, is passed to the supervisor, if there is one: `passed_on` travels
with the reports to it. The supervisor stops its processes itself, because it takes the end of a process that it has not
stopped for a crash. A worker without a supervisor obeys each order itself.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from rota import events
from rota.core.text import counted
from rota.wire.worker_order import DONE, WorkerOrder

if TYPE_CHECKING:
    from rota.worker.worker import Worker

MOST_REMEMBERED = 200
"""Orders whose answers are remembered, so that an order that is read again is not obeyed again. An order expires long
before a worker has got as many."""
MOST_CONCURRENCY = 100_000


class Orders:
    """The orders to one worker, and its answers."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._answers: dict[str, str] = {}
        self._unsent: dict[str, str] = {}
        self._known: deque[str] = deque(maxlen=MOST_REMEMBERED)
        self.supervised = False
        """Whether this worker has a supervisor."""
        self.held_quiet = False
        """Whether the supervisor has quieted this worker: all its processes are, or this one is being replaced."""
        self.passed_on: deque[str] = deque(maxlen=10)
        """The last orders for the supervisor, each as `<id> <act>`; the act `end` stops only this process. They stay,
        because nothing confirms a report, and the supervisor obeys each ID once."""

    def unsent(self) -> Mapping[str, str]:
        """Return the answers that have not reached the server yet. May be called from any thread."""
        return dict(self._unsent)

    def sent(self, answers: Iterable[str]) -> None:
        """Note that answers have reached the server. May be called from any thread."""
        for order_id in answers:
            self._unsent.pop(order_id, None)

    def receive(self, orders: Iterable[tuple[str, bytes]], tell: Callable[[Callable[[], object]], object]) -> None:
        """Take the orders that a heartbeat has read. `tell` calls a function in the event loop of the worker."""
        for order_id, data in orders:
            if order_id in self._answers:
                self._unsent[order_id] = self._answers[order_id]  # an earlier answer was lost
            elif order_id not in self._known:
                self._known.append(order_id)  # here and not in `_take`: the next beat may read it before the loop turns
                tell(partial(self._take, order_id, data))

    def _take(self, order_id: str, data: bytes) -> None:
        try:
            order = WorkerOrder.from_json(order_id, data)
        except ValueError as error:
            self._answer(order_id, f"It was not obeyed: {error}.")
            return
        refusal = self._refusal(order)
        if refusal:
            events.emit(events.WorkerOrderRefused(worker=self._worker.id, order=shown(order), by=order.by, why=refusal))
            self._answer(order_id, refusal)
            return
        events.emit(
            events.WorkerOrderObeyed(worker=self._worker.id, order=shown(order), by=order.by, reason=order.reason)
        )
        if self.supervised and (order.fleet or order.act == "stop"):
            self.passed_on.append(f"{order.id} {order.act if order.fleet else 'end'}")
        else:
            self._obey(order)
        self._answer(order_id, DONE)

    def _refusal(self, order: WorkerOrder) -> str:
        if self._worker.stopping and order.act != "stop":
            return "The worker is stopping, so it does not obey any other order."
        if order.act == "scale" and not 1 <= order.concurrency <= MOST_CONCURRENCY:
            return f"A concurrency of {order.concurrency} is not possible: give 1 to {MOST_CONCURRENCY}."
        if order.act == "wake" and not order.fleet and self.held_quiet:
            return (
                "The supervisor has quieted this process: it quiets all its processes, which only an order to the "
                "whole fleet ends, or it replaces this one."
            )
        if order.act == "scale" and order.fleet:
            return "Each process has its own concurrency: order it from each of them."
        return ""

    def _obey(self, order: WorkerOrder) -> None:
        worker = self._worker
        match order.act:
            case "quiet":
                worker.quiet()
            case "wake":
                worker.wake()
            case "scale":
                worker.scale(order.concurrency)
            case "stop":
                if not worker.stopping:  # a second request to stop would cancel the running handlers
                    worker.stop()

    def _answer(self, order_id: str, answer: str) -> None:
        self._answers[order_id] = self._unsent[order_id] = answer
        while len(self._answers) > MOST_REMEMBERED:
            del self._answers[next(iter(self._answers))]
        self._worker.beat_soon()


def shown(order: WorkerOrder) -> str:
    """Return an order in words: `stop with its fleet`, `run 5 tasks at once`."""
    words = {
        "quiet": "take no more tasks",
        "wake": "take tasks again",
        "stop": "stop",
        "scale": f"run {counted(order.concurrency, 'task')} at once",
    }[order.act]
    return f"{words}, with the whole fleet" if order.fleet else words
