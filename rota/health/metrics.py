"""The status of worker processes as Prometheus metrics. Needs `rota[metrics]`.

Every number is a sum over the processes of one command. When a process is replaced, no series disappears, and the
counts of the old process stay in the sums.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rota.health.process_status import ProcessStatus, live, ready

CONTENT_TYPE = CONTENT_TYPE_LATEST

COUNTERS = {
    "taken": ("rota_tasks_taken", "Tasks taken from queues"),
    "recorded": ("rota_outcomes_recorded", "Outcomes recorded"),
    "discarded": ("rota_results_discarded", "Outcomes that came too late: the task had been taken over or deleted"),
    "repeated": ("rota_outcomes_sent_again", "Outcomes sent again because no answer came"),
    "reconnects": ("rota_broker_reconnects", "Broken connections of fetchers"),
    "rounds": ("rota_fetches", "Requests for tasks"),
    "empty_rounds": ("rota_fetches_empty", "Requests for tasks that found none"),
    "heartbeat:beats": ("rota_heartbeats", "Beats that reached the broker"),
    "heartbeat:errors": ("rota_heartbeat_errors", "Beats that did not reach the broker"),
    "heartbeat:lost": ("rota_leases_lost", "Runs stopped because their lease was lost"),
    "loop_watchdog:blockages": ("rota_loop_blockages", "Times that a task blocked the event loop"),
    "loop_watchdog:blocked_seconds": ("rota_loop_blocked_seconds", "Seconds for which the event loop was blocked"),
    "schedule_runs": ("rota_schedule_runs", "Runs of schedules that were enqueued"),
    "schedule_refusals": ("rota_schedule_refusals", "Runs of schedules whose task was refused"),
    "process_starts": ("rota_process_starts", "Worker processes started"),
    "process_crashes": ("rota_process_crashes", "Worker processes that died by themselves"),
}


SCHEDULER_GAUGES = {
    "leading": ("rota_scheduler_leading", "1 if a scheduler of this command leads"),
    "schedules": ("rota_schedules", "Schedules of the scheduler that leads, if it runs here"),
    "lateness": ("rota_schedule_lateness_seconds", "How late 99 of 100 of the last runs were at most"),
}


def expose(processes: Sequence[ProcessStatus], counts: Mapping[str, float], now: float) -> str:
    """Return the metrics in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(processes, counts, now))
    return generate_latest(registry).decode()


@dataclass(frozen=True, slots=True, eq=False)
class _Collector:
    processes: Sequence[ProcessStatus]
    counts: Mapping[str, float]
    now: float

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        for name, (metric, text) in COUNTERS.items():
            yield CounterMetricFamily(metric, text, self.counts.get(name, 0.0))
        yield self._labelled("rota_outcomes", "Outcomes that were no plain success", "kind", "outcome")
        yield self._labelled(
            "rota_tasks_returned", "Tasks of dead processes, by what became of them", "how", "returned"
        )
        yield self._labelled(
            "rota_unknown_tasks", "Tasks handed back because this worker does not handle their type", "type", "unknown"
        )
        yield self._labelled("rota_schedule_skips", "Planned times that did not fire", "reason", "skip")
        yield self._labelled("rota_events", "Events, by their names (see the reference of events)", "event", "event")
        yield self._events()

    def _gauges(self) -> Iterator[Metric]:
        now, workers = self.now, [each for each in self.processes if each.kind == "worker"]
        is_ready = ready(self.processes, now).holds
        ways = Counter(each.wake_up for each in workers if each.wake_up)
        wake_up = GaugeMetricFamily("rota_wake_up", "Processes by the way in which they wait", labels=["way"])
        for way, count in ways.items():
            wake_up.add_metric([way], count)
        yield wake_up
        for name, text, value in (
            ("rota_live", "1 if live", float(live(self.processes, now).holds)),
            ("rota_ready", "1 if a process takes tasks and none tries to in vain", float(is_ready)),
            ("rota_processes", "Worker processes", len(workers)),
            ("rota_processes_ready", "Worker processes that take tasks", sum(ready([v], now).holds for v in workers)),
            ("rota_slots", "Tasks that can run at once", sum(v.slots for v in workers)),
            ("rota_slots_used", "Slots in use", sum(v.used for v in workers)),
            ("rota_tasks_held", "Tasks taken whose outcome is not recorded yet", sum(v.held for v in workers)),
            ("rota_heartbeat_age_seconds", "Age of the oldest last beat", _age([v.beat_at for v in workers], now)),
            ("rota_loop_age_seconds", "Since when an event loop has not turned", _age(_turns(workers), now)),
        ):
            yield GaugeMetricFamily(name, text, value)
        schedulers = [each for each in self.processes if each.kind == "scheduler"]
        for name, (metric, text) in SCHEDULER_GAUGES.items():
            if values := [each.gauges[name] for each in schedulers if name in each.gauges]:
                yield GaugeMetricFamily(metric, text, max(values))

    def _labelled(self, metric: str, text: str, label: str, head: str) -> Metric:
        family = CounterMetricFamily(metric, text, labels=[label])
        for name, value in self.counts.items():
            if name.startswith(f"{head}:"):
                family.add_metric([name.removeprefix(f"{head}:")], value)
        return family

    def _events(self) -> Metric:
        family = CounterMetricFamily("rota_part_events", "What the parts of workers counted", labels=["part", "event"])
        for name, value in self.counts.items():
            part, separator, event = name.partition(":")
            if separator and part not in ("outcome", "returned", "unknown", "event", "skip") and name not in COUNTERS:
                family.add_metric([part, event], value)
        return family


def _turns(processes: Sequence[ProcessStatus]) -> list[float]:
    return [process.turned_at for process in processes if process.turned_at]


def _age(moments: Sequence[float], now: float) -> float:
    return max((now - at for at in moments if at), default=0.0)
