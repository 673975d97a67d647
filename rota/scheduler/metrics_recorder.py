"""Writes the metrics of each minute into the store. The scheduler that leads does it, a few seconds after the minute.

1. Read the queues, and of each the counts that workers have written for the minutes since the last one in the store.
   Redis has them for two hours, so a store or a leader that was away for less loses none.
2. Sample the sizes of each queue, the age of its next task, and Asynq's counters.
3. Give all to the store, which knows which minutes it has.

The counters less what Rota's workers have counted is what Go servers and other programs have processed. The difference
between two samples a minute apart is their part of that minute; without the earlier sample it is not known.
"""

import time
from typing import TYPE_CHECKING

from rota.broker.broker import Broker
from rota.broker.server_info import lines_of
from rota.client.requests import Requests
from rota.errors import BrokerError, BrokerRefused
from rota.inspect import metric_series
from rota.inspect.metric_series import SIZES, MetricSample
from rota.wire.minute import Counts, Minutes, TypeCounts

if TYPE_CHECKING:
    from rota.store import Store

_LONGEST_GAP_SECONDS = 90
"""The counters of two samples that are further apart do not tell of one minute."""


class MetricsRecorder:
    """The recorder of one term."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._requests = Requests(broker)
        self._tried = 0
        self._elsewhere: dict[str, tuple[float, Counts]] = {}
        """By queue, when the counters were read last, and what others had processed by then."""

    async def record(self, store: "Store") -> None:
        """Write the minutes that are over. Asks nothing if none has ended since the last call."""
        minute = int(time.time() // 60)
        if minute == self._tried:
            return
        self._tried = minute
        before = await store.metrics_until()
        first = None if before is None else int(before.timestamp()) // 60 + 1
        samples: list[MetricSample] = []
        last = 0
        for name in await self._requests.carry_out(metric_series.queue_names(self._broker.keys)):
            try:
                found = await self._requests.carry_out(metric_series.minutes(self._broker.keys.queue(name), first))
                last = last or int(found.now // 60) - 1
                samples += await self._samples(name, found, last)
            except BrokerRefused:  # one of the keys has a wrong type, which the doctor reports
                continue
        if last:
            memory = await self._memory()
            samples += [MetricSample(queue="", at=metric_series.at_minute(last), memory_bytes=memory)] if memory else []
            await store.record_metrics(samples, metric_series.at_minute(last))

    async def _samples(self, queue: str, found: Minutes, last: int) -> list[MetricSample]:
        """Return the samples of the minutes of a queue. The sizes of now belong to the last of them."""
        keys = self._broker.keys.queue(queue)
        seen = await self._requests.carry_out(metric_series.sample(keys))
        sizes = {name: int(getattr(seen, name)) for name in SIZES}
        elsewhere = await self._others_did(queue, found.now)
        made = [
            MetricSample(queue=queue, at=metric_series.at_minute(number), counts=counts)
            for number, counts in sorted(found.counts.items())
            if number < last
        ]
        counts = found.counts.get(last, TypeCounts({}, {}))
        if counts.by_type or counts.others or any(sizes.values()) or any((elsewhere or {}).values()):
            oldest = None if seen.latency is None else seen.latency.total_seconds()
            at = metric_series.at_minute(last)
            made.append(
                MetricSample(queue=queue, at=at, counts=counts, sizes=sizes, oldest_seconds=oldest, elsewhere=elsewhere)
            )
        return made

    async def _others_did(self, queue: str, now: float) -> Counts | None:
        totals = await self._requests.carry_out(metric_series.totals(self._broker.keys.queue(queue)))
        current = totals.elsewhere()
        earlier = self._elsewhere.get(queue)
        self._elsewhere[queue] = now, current
        if earlier is None or now - earlier[0] > _LONGEST_GAP_SECONDS:
            return None
        more = {name: current[name] - earlier[1][name] for name in current}
        return None if min(more.values()) < 0 else more

    async def _memory(self) -> int | None:
        """Return the memory of all servers; None if the user may not ask."""
        try:
            replies = await self._broker.execute_everywhere("INFO", "memory")
        except BrokerError:
            return None
        said = [lines_of(bytes(text).decode(errors="replace")) for text in replies.values()]
        return sum(int(each["used_memory"]) for each in said if "used_memory" in each) or None
