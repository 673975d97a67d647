"""The queues as Prometheus metrics, from the counts in Redis that the series are made of. Needs `rota[metrics]`.

Every program that reads them gets the same numbers, whichever workers run, so one scrape of one program is enough. The
counts of types, and the histograms, are those of all time: a restart of a worker does not reset them. A worker's own
`/metrics` (`rota.health.metrics`) tells of its processes instead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from rota.client.steps import Act
from rota.inspect import metric_series
from rota.inspect.histogram import Histogram
from rota.inspect.metric_series import OTHER_TYPES, SIZES
from rota.inspect.queue import QueueSnapshot
from rota.wire.keys import Keys
from rota.wire.minute import BOUNDS, HOW, Counts, Totals

CONTENT_TYPE = CONTENT_TYPE_LATEST
_EACH = 2
"""Only every second bound becomes a bucket of Prometheus, because each is a series for each type."""


class QueueMetrics(NamedTuple):
    """One queue as it is now, with the counts of all time."""

    snapshot: QueueSnapshot
    totals: Totals


def read_queues(keys: Keys) -> Act[list[QueueMetrics]]:
    """Read all queues."""
    found: list[QueueMetrics] = []
    for name in (yield from metric_series.queue_names(keys)):
        queue = keys.queue(name)
        snapshot = yield from metric_series.sample(queue)
        found.append(QueueMetrics(snapshot, (yield from metric_series.totals(queue))))
    return found


def expose(queues: Sequence[QueueMetrics], read_at: float) -> str:
    """Return the metrics in the Prometheus text format. `read_at` is when they were read, in Unix seconds."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_QueueCollector(queues, read_at))
    return generate_latest(registry).decode()


@dataclass(frozen=True, slots=True, eq=False)
class _QueueCollector:
    queues: Sequence[QueueMetrics]
    read_at: float

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("rota_queues_read_timestamp_seconds", "When the queues were read", self.read_at)
        sizes = GaugeMetricFamily("rota_queue_tasks", "Tasks by their states", labels=["queue", "state"])
        for each, _ in self.queues:
            for state in SIZES:
                sizes.add_metric([each.queue, state], getattr(each, state))
        yield sizes
        yield from self._gauges()
        yield from self._counters()
        yield from self._types()

    def _gauges(self) -> Iterator[Metric]:
        oldest = GaugeMetricFamily(
            "rota_queue_oldest_pending_seconds", "How long the next task has been waiting", labels=["queue"]
        )
        paused = GaugeMetricFamily("rota_queue_paused", "1 if workers take no tasks from it", labels=["queue"])
        orphaned = GaugeMetricFamily(
            "rota_queue_orphaned_tasks", "Active tasks whose lease has expired", labels=["queue"]
        )
        for each, _ in self.queues:
            if each.latency is not None:
                oldest.add_metric([each.queue], each.latency.total_seconds())
            paused.add_metric([each.queue], float(each.is_paused))
            orphaned.add_metric([each.queue], each.orphaned)
        yield from (oldest, paused, orphaned)

    def _counters(self) -> Iterator[Metric]:
        for name, text, values in (
            ("processed", "Runs that have ended, of all servers", [each.processed_total for each, _ in self.queues]),
            ("failed", "Runs that failed, of all servers", [each.failed_total for each, _ in self.queues]),
            ("crashed", "Runs whose worker died", [each.crashed_total for each, _ in self.queues]),
            (
                "processed_elsewhere",
                "Runs that have ended and are not counted by type: those of Go servers and of older workers",
                [totals.elsewhere()["processed"] for _, totals in self.queues],
            ),
        ):
            family = CounterMetricFamily(f"rota_queue_{name}", text, labels=["queue"])
            for (each, _), value in zip(self.queues, values, strict=True):
                family.add_metric([each.queue], value)
            yield family

    def _types(self) -> Iterator[Metric]:
        labels = ["queue", "type"]
        ends = CounterMetricFamily("rota_task_runs", "Runs by how they ended", labels=[*labels, "outcome"])
        waits = HistogramMetricFamily("rota_task_wait_seconds", "How long tasks were pending", labels=labels)
        runs = HistogramMetricFamily("rota_task_run_seconds", "How long runs took", labels=labels)
        for each, totals in self.queues:
            others = {OTHER_TYPES: totals.counts.others} if totals.counts.others else {}
            for type, counts in sorted((totals.counts.by_type | others).items()):
                for how in HOW:
                    ends.add_metric([each.queue, type, how], counts.get(how, 0))
                waits.add_metric([each.queue, type], _buckets(counts, "w"), sum_value=None)
                runs.add_metric([each.queue, type], _buckets(counts, "r"), sum_value=None)
        yield from (ends, waits, runs)


def _buckets(counts: Counts, letter: str) -> list[tuple[str, float]]:
    """Return cumulative buckets. There is no sum of the times, because the histogram does not know it."""
    found = Histogram.of(counts, letter).buckets
    total, made = 0, list[tuple[str, float]]()
    for bucket, bound in enumerate(BOUNDS):
        total += found.get(bucket, 0)
        if bucket % _EACH == _EACH - 1:
            made.append((f"{bound:.6g}", total))
    return [*made, ("+Inf", total + found.get(len(BOUNDS), 0))]
