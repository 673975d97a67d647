"""The reads of metrics that the workers of Rota count by the minute. `metric_series` merges them into series."""

from datetime import timedelta

from rota.client.operations import operation
from rota.client.steps import Act
from rota.inspect import metric_series
from rota.inspect.face import Reads
from rota.inspect.metric_series import KEPT_IN_REDIS, MetricSample
from rota.inspect.queue_reads import check_queue, exists
from rota.wire.minute import Totals


class MetricReads(Reads):
    """Describes the reads of metrics."""

    @operation
    def metric_samples(self, queue: str | None = None, *, last: timedelta = KEPT_IN_REDIS) -> Act[list[MetricSample]]:
        """Return a sample for each minute and queue in which runs have ended, of two hours at most.

        They have counts and histograms, and no sizes. Raises QueueNotFound.
        """
        if queue is None:
            names = yield from metric_series.queue_names(self._keys)
        else:
            check_queue(queue, (yield exists(self._keys, queue)))
            names = [queue]
        found: list[MetricSample] = []
        for name in names:
            found += yield from metric_series.live_samples(self._keys.queue(name), last)
        return found

    @operation
    def metric_totals(self, queue: str) -> Act[Totals]:
        """Return the counts of a queue of all time by type, and what other programs processed. Raises QueueNotFound."""
        check_queue(queue, (yield exists(self._keys, queue)))
        return (yield from metric_series.totals(self._keys.queue(queue)))
