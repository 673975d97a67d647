"""Node consumers: one fetcher and one finisher for each node, so that a slow or lost node delays only its own queues.

With a single server there is one consumer. In a Cluster, the hash slot of its keys decides on which node a queue is.
When hash slots move, or a replica is promoted, consumers are started for the new nodes, and consumers of nodes without
a queue of this worker are retired.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rota.broker.broker import Broker
from rota.errors import BrokerError
from rota.wire.keys import QueueKeys
from rota.wire.outcome import Outcome
from rota.worker.consume.fetcher import Fetcher
from rota.worker.consume.idle_strategy import FetchStatistics
from rota.worker.parts import cancelled_from_outside
from rota.worker.run.attempt import Attempt
from rota.worker.run.finisher import Finisher, FinishStatistics
from rota.worker.ticker import Backoff

REFRESH_SECONDS = 5.0
"""How often the nodes of the queues are looked up. An idle worker gets no error that shows that a queue has moved."""


@dataclass(slots=True)
class NodeConsumer:
    """The fetcher and the finisher for the queues of one node, with their running asyncio tasks."""

    fetcher: Fetcher
    finisher: Finisher
    fetching: asyncio.Task[None]
    finishing: asyncio.Task[None]


class NodeConsumers:
    """Keeps a consumer for each node that holds a queue of this worker."""

    def __init__(
        self,
        broker: Broker,
        queues: Callable[[], Iterable[QueueKeys]],
        make_fetcher: Callable[[Callable[[str], bool]], Fetcher],
        make_finisher: Callable[[Fetcher], Finisher],
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._make_fetcher = make_fetcher
        self._make_finisher = make_finisher
        self._consumers: dict[str, NodeConsumer] = {}
        self._retiring: dict[asyncio.Task[None], NodeConsumer] = {}
        self._past = (FetchStatistics(), FinishStatistics())
        self._nodes: dict[str, str] = {}
        self._by_queue: dict[QueueKeys, NodeConsumer] = {}
        """Where the outcomes of a queue go, so that the path of every task has one lookup."""
        self._refreshing = asyncio.Lock()  # `run`, `add_queue` and the search for new queues may overlap
        self._switching = asyncio.Lock()  # so may quiet, wake and stop
        self._stopping = False
        self.refreshed = asyncio.Event()

    def __iter__(self) -> Iterator[NodeConsumer]:
        return iter(list(self._consumers.values()))

    def statistics(self) -> list[tuple[FetchStatistics, FinishStatistics]]:
        """The counts of all consumers, including the retired ones, so that no sum ever decreases."""
        return [self._past, *((consumer.fetcher.statistics, consumer.finisher.statistics) for consumer in self._all())]

    async def run(self) -> None:
        """Start the consumers, and start or retire consumers when the topology changes, until cancelled."""
        backoff = Backoff()
        try:
            while True:
                try:
                    await self.refresh()
                    backoff.reset()
                except BrokerError as error:
                    await backoff.wait(error, "Finding the nodes of the queues")
                else:
                    await self._watch()
        finally:
            await self._end()

    async def _watch(self) -> None:
        """Wait until it is time to look up the nodes again.

        If a fetcher or finisher ends by an error, raise that error, which ends the worker. Otherwise the worker would
        appear alive but take no tasks, or hold tasks whose outcomes are never recorded. The supervisor starts another
        worker, and the tasks of this one run again.
        """
        tasks = [task for consumer in self._consumers.values() for task in (consumer.fetching, consumer.finishing)]
        tasks += self._retiring
        if not tasks:  # the worker was asked to stop before any consumer was started
            await asyncio.sleep(REFRESH_SECONDS)
            return
        ended, _ = await asyncio.wait(tasks, timeout=REFRESH_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
        # Read again, because the tasks of a consumer that was retired meanwhile are cancelled on purpose.
        serving = {task for consumer in self._consumers.values() for task in (consumer.fetching, consumer.finishing)}
        fetching = {consumer.fetching for consumer in self._consumers.values()}
        for task in ended:
            if not task.cancelled():
                task.result()
            elif task in self._retiring or (task in serving and not (self._stopping and task in fetching)):
                raise cancelled_from_outside("fetcher or finisher")

    async def refresh(self) -> None:
        """Look up which node holds each queue; start missing consumers and retire those without a queue."""
        async with self._refreshing:
            await self._refresh()

    async def _refresh(self) -> None:
        nodes: dict[str, str] = {}
        queues = list(self._queues())
        if queues:
            await self._broker.survey()
        for queue in queues:
            nodes[queue.queue] = await self._broker.node_of(queue.pending)
        if nodes == self._nodes and self._consumers:  # without queues, both are empty also before the first consumer
            return
        self._nodes = nodes
        self._by_queue.clear()
        if not self._stopping:
            # Without a queue, one consumer too: its fetcher is notified of the first queue that a pattern matches.
            self._follow(set(nodes.values()) or {""})
        for consumer in self._consumers.values():
            consumer.fetcher.queues_changed()
        self.refreshed.set()

    def _follow(self, wanted: set[str]) -> None:
        for node in wanted - self._consumers.keys():
            self._consumers[node] = self._start(node)
        for node in self._consumers.keys() - wanted:
            self._retire(self._consumers.pop(node))

    def finish(self, attempt: Attempt, outcome: Outcome | None) -> None:
        """Pass an outcome to the consumer of its queue."""
        consumer = self._by_queue.get(attempt.queue)
        if consumer is None:
            consumer = self._consumer_of(attempt.queue)
        if outcome is not None and outcome.kind == "retry":
            consumer.fetcher.note_due_in(attempt.queue.queue, outcome.seconds)
        consumer.finisher.add(attempt, outcome)

    def _consumer_of(self, queue: QueueKeys) -> "NodeConsumer":
        consumer = self._consumers.get(self._nodes.get(queue.queue, ""))
        if consumer is None:
            # The queue was removed while its task ran. Any finisher will do, because each request finds its node. It is
            # not noted, because the queue may be added again.
            return next(iter(self._consumers.values()))
        self._by_queue[queue] = consumer
        return consumer

    def note(self, queue: str | None) -> None:
        """Tell the fetchers that a queue may have tasks."""
        for consumer in self._consumers.values():
            consumer.fetcher.note(queue)

    async def stop_fetching(self) -> None:
        """Take no more tasks. Tasks in a reply that is under way are still received and passed to the executor."""
        self._stopping = True  # before the lock too, so that `refresh` starts no fetcher meanwhile
        async with self._switching:
            self._stopping = True  # `start_fetching` may have held the lock
            await asyncio.gather(*(consumer.fetcher.stop(consumer.fetching) for consumer in self._all()))

    async def start_fetching(self) -> None:
        """Take tasks again after `stop_fetching`: with new consumers, while the old ones record their outcomes."""
        async with self._switching:
            if not self._stopping:
                return
            self._stopping = False
            self._by_queue.clear()  # else outcomes would still go to the retired finishers, which end
            for node in list(self._consumers):
                self._retire(self._consumers.pop(node))
            self._follow(set(self._nodes.values()) or {""})

    async def flush(self) -> None:
        """Wait until all outcomes are recorded."""
        await asyncio.gather(*(consumer.finisher.flush() for consumer in self._all()))

    async def record_rest(self, seconds: float) -> None:
        """Record the remaining outcomes after the consumers have ended by a fault. Raises TimeoutError."""
        consumers = self._all()
        finishing = [asyncio.create_task(consumer.finisher.run()) for consumer in consumers]
        flushing = asyncio.create_task(self.flush())
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wait([flushing, *finishing], return_when=asyncio.FIRST_COMPLETED)
                for task in finishing:  # one that fails again would leave `flush` waiting until the time is over
                    if task.done():
                        task.result()
        finally:
            for task in (flushing, *finishing):
                task.cancel()
            await asyncio.gather(flushing, *finishing, return_exceptions=True)

    def _all(self) -> list[NodeConsumer]:
        return [*self._consumers.values(), *self._retiring.values()]

    def _start(self, node: str) -> NodeConsumer:
        fetcher = self._make_fetcher(lambda queue: self._nodes.get(queue) == node)
        finisher = self._make_finisher(fetcher)
        return NodeConsumer(fetcher, finisher, asyncio.create_task(fetcher.run()), asyncio.create_task(finisher.run()))

    def _retire(self, consumer: NodeConsumer) -> None:
        """End a consumer: it takes no more tasks, records its outcomes, and closes its connection."""
        task = asyncio.create_task(self._wind_up(consumer))
        self._retiring[task] = consumer
        task.add_done_callback(self._retired)

    async def _wind_up(self, consumer: NodeConsumer) -> None:
        await consumer.fetcher.stop(consumer.fetching)
        flushing = asyncio.create_task(consumer.finisher.flush())
        try:
            await asyncio.wait([flushing, consumer.finishing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            flushing.cancel()
        if consumer.finishing.done():  # by a fault, which is raised here: `flush` would wait for it for good
            await consumer.finishing
        consumer.finishing.cancel()
        await asyncio.wait([consumer.finishing])  # unlike a plain `await`, it does not raise the cancel

    def _retired(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            return  # it still has outcomes: `_watch` ends the worker, and `record_rest` records them
        consumer = self._retiring.pop(task)
        fetched, finished = self._past
        fetched.add(consumer.fetcher.statistics)
        finished.add(consumer.finisher.statistics)

    async def _end(self) -> None:
        tasks = [
            *self._retiring,
            *(task for consumer in self._all() for task in (consumer.fetching, consumer.finishing)),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
