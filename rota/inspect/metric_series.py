"""Metrics of queues over time: counts and histograms by minute, with sizes where they were sampled.

1. `minutes` reads the counts that workers of Rota have written in the last two hours.
2. `sample` reads how large a queue is now, and Asynq's own counters.
3. The recorder of a scheduler makes a `MetricSample` of both for each minute, and keeps it in the store.
4. `series` merges samples into the points of one series: over queues, types, and steps of any length.

Asynq's counters also have what Go servers have processed, and other programs. Of that only numbers are known
(`elsewhere`), and only where samples were taken: no types, and no times.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from rota.client.steps import Act
from rota.core.canonical import is_mapping
from rota.inspect import queue as look_queue
from rota.inspect import queue_reads
from rota.inspect.histogram import NO_TIMES, Histogram
from rota.inspect.queue import QueueSnapshot, SizePage
from rota.wire import minute
from rota.wire.keys import Keys, QueueKeys
from rota.wire.minute import Counts, Minutes, Totals, TypeCounts, added
from rota.wire.names import read_queue_names

Step = Literal["minute", "hour", "day"]
STEPS: Mapping[Step, timedelta] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
KEPT_IN_REDIS = timedelta(minutes=minute.KEPT_MINUTES)
OTHER_TYPES = "(other types)"
"""The name of all types beyond those that are counted by themselves."""
SIZES = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSample:
    """One queue in one step: the counts, and the largest sizes and ages that were sampled in it.

    `elsewhere` has what other programs than Rota's workers processed and failed; None if no sample was taken.
    """

    queue: str
    at: datetime
    counts: TypeCounts = field(default_factory=lambda: TypeCounts({}, {}), hash=False)
    sizes: Mapping[str, int] | None = field(default=None, hash=False)
    oldest_seconds: float | None = None
    """How long the next task had been waiting; None if that is not known."""
    memory_bytes: int | None = None
    """Memory of the server. Only the sample of the queue `""` has it."""
    elsewhere: Mapping[str, int] | None = field(default=None, hash=False)

    def to_json(self) -> dict[str, Any]:
        """Return what the store keeps of it as JSON."""
        known = {
            "types": self.counts.by_type,
            "others": self.counts.others,
            "sizes": self.sizes,
            "oldest_seconds": self.oldest_seconds,
            "memory_bytes": self.memory_bytes,
            "elsewhere": self.elsewhere,
        }
        return {name: value for name, value in known.items() if value not in (None, {})}

    @classmethod
    def from_json(cls, queue: str, at: datetime, value: object) -> "MetricSample":
        """Read a sample from the JSON that `to_json` returns. Raises ValueError for any other value."""
        if not is_mapping(value):
            raise ValueError("a sample of metrics is a JSON object")
        fields: dict[str, Any] = {str(name): each for name, each in value.items()}
        counts = TypeCounts(fields.pop("types", {}), fields.pop("others", {}))
        try:
            return cls(queue=queue, at=at, counts=counts, **fields)
        except TypeError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One step of a series. `at` is its beginning. A value is None if it cannot be known."""

    at: datetime
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    crashed: int = 0
    wait: Histogram = NO_TIMES
    run: Histogram = NO_TIMES
    elsewhere: int | None = None
    """Tasks that other programs processed, such as Go servers."""
    elsewhere_failed: int | None = None
    sizes: Mapping[str, int] | None = field(default=None, hash=False)
    oldest: timedelta | None = None

    @property
    def processed(self) -> int:
        """Return the number of runs that have ended, as Asynq counts them, without those of other programs."""
        return self.succeeded + self.failed + self.retried + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSeries:
    """The points of a series, the earliest first, without gaps; and the sums over all of them by type."""

    queues: tuple[str, ...]
    step: timedelta
    points: tuple[MetricPoint, ...]
    types: Mapping[str, MetricPoint] = field(hash=False)
    total: MetricPoint


def queue_names(keys: Keys) -> Act[list[str]]:
    """Read the names of all queues in sorted order."""
    return read_queue_names((yield from queue_reads.queue_names(keys)))


def minutes(keys: QueueKeys, first: int | None = None, latest: int | None = None) -> Act[Minutes]:
    """Read the counts of a queue from minute `first` to `latest`, both included; by default of two hours up to now.

    Minutes without counts are left out.
    """
    found: dict[int, TypeCounts] = {}
    page: Minutes = yield minute.look(keys, latest, 1)
    now, latest = page.now, max(page.counts)
    oldest = max(latest - minute.KEPT_MINUTES, latest - minute.KEPT_MINUTES if first is None else first)
    while True:
        found |= {number: counts for number, counts in page.counts.items() if counts.by_type or counts.others}
        left = min(page.counts) - oldest
        if left <= 0:
            return Minutes(now, found)
        page = yield minute.look(keys, min(page.counts) - 1, left)


def sample(keys: QueueKeys) -> Act[QueueSnapshot]:
    """Read how large a queue is now, with the tasks in its groups, and the counters of Asynq."""
    seen: tuple[QueueSnapshot, SizePage] = yield look_queue.queue(keys, queue_reads.today())
    snapshot, page = seen
    sizes = yield from queue_reads.further_sizes(keys, page)
    return replace(snapshot, aggregating=sum(sizes.values()))


def totals(keys: QueueKeys) -> Act[Totals]:
    """Read the counts of all time."""
    found: Totals = yield minute.look_total(keys)
    return found


def live_samples(keys: QueueKeys, since: timedelta = KEPT_IN_REDIS) -> Act[list[MetricSample]]:
    """Return samples of the last minutes of a queue, without sizes, from what workers of Rota have written."""
    found: Minutes = yield from minutes(keys)
    first = int((found.now - since.total_seconds()) // 60)
    return [
        MetricSample(queue=keys.queue, at=at_minute(number), counts=counts)
        for number, counts in sorted(found.counts.items())
        if number >= first
    ]


class SampleStore(Protocol):
    """The store, as far as samples are read from it."""

    async def metric_samples(
        self, step: Step, *, since: datetime, until: datetime, queue: str | None = None
    ) -> list[MetricSample]:
        """Return the samples of whole steps from `since` on and before `until`, the earliest first."""
        ...


async def stored_samples(
    store: SampleStore, *, since: datetime, until: datetime, step: timedelta, queue: str | None = None
) -> tuple[list[MetricSample], datetime]:
    """Read samples from the store, in steps of at most `step`; return also the end of the last one.

    Only days and hours that are over are stored as such, so finer steps follow them.
    """
    found: list[MetricSample] = []
    end = since
    for name, length in reversed(list(STEPS.items())):
        if length <= step or name == "minute":
            rows = await store.metric_samples(name, since=end, until=until, queue=queue)
            found += rows
            end = max([end, *(each.at + length for each in rows)])
    return found, end


def at_minute(number: int) -> datetime:
    """Return when a minute since 1970 begins."""
    return datetime.fromtimestamp(number * 60, UTC)


def merged(samples: Sequence[MetricSample], queue: str, at: datetime) -> MetricSample:
    """Merge samples of a queue into one for a longer step: counts are added, of sizes and ages the largest stays."""
    types: dict[str, list[Counts]] = {}
    for each in samples:
        for type, counts in each.counts.by_type.items():
            types.setdefault(type, []).append(counts)
    known = [each.sizes for each in samples if each.sizes is not None]
    ages = [each.oldest_seconds for each in samples if each.oldest_seconds is not None]
    memory = [each.memory_bytes for each in samples if each.memory_bytes is not None]
    elsewhere = [each.elsewhere for each in samples if each.elsewhere is not None]
    return MetricSample(
        queue=queue,
        at=at,
        counts=TypeCounts(
            {type: added(counts) for type, counts in types.items()}, added(each.counts.others for each in samples)
        ),
        sizes={name: max(sizes.get(name, 0) for sizes in known) for name in SIZES} if known else None,
        oldest_seconds=max(ages, default=None),
        memory_bytes=max(memory, default=None),
        elsewhere=added(elsewhere) if elsewhere else None,
    )


def limited(sample: MetricSample, most_types: int) -> MetricSample:
    """Return a sample with at most this many types, those with the most runs; the counts of the rest are others."""
    by_type = sample.counts.by_type
    if len(by_type) <= most_types:
        return sample
    names = sorted(by_type, key=lambda type: (-by_type[type].get("n", 0), type))
    rest = [by_type[type] for type in names[most_types:]]
    counts = TypeCounts({type: by_type[type] for type in names[:most_types]}, added([sample.counts.others, *rest]))
    return replace(sample, counts=counts)


def series(
    samples: Iterable[MetricSample],
    *,
    since: datetime,
    until: datetime,
    step: timedelta,
    queue: str | None = None,
    type: str | None = None,
) -> MetricSeries:
    """Merge samples into the points of one series, from `since` to `until`, of some steps each.

    With a `type`, only its counts and times are in the points; sizes, ages and what ran elsewhere are those of queues
    and therefore left out. `OTHER_TYPES` is the name of the types that are not counted by themselves.
    """
    number = max(1, -(-(until - since) // step))
    by_step: list[list[MetricSample]] = [[] for _ in range(number)]
    for each in samples:
        if since <= each.at < until and queue in (None, each.queue) and each.queue:
            by_step[(each.at - since) // step].append(each)
    points = tuple(_point(since + index * step, some, type) for index, some in enumerate(by_step))
    everything = [each for some in by_step for each in some]
    names = sorted({name for each in everything for name in each.counts.by_type})
    types = {name: _point(since, everything, name) for name in names}
    if any(each.counts.others for each in everything):
        types[OTHER_TYPES] = _point(since, everything, OTHER_TYPES)
    return MetricSeries(
        queues=tuple(sorted({each.queue for each in everything})),
        step=step,
        points=points,
        types=types if type is None else {type: types[type]} if type in types else {},
        total=_point(since, everything, type),
    )


def _point(at: datetime, samples: Sequence[MetricSample], type: str | None) -> MetricPoint:
    counts = added(each for sample in samples for each in _of_type(sample.counts, type))
    found = MetricPoint(
        at=at,
        succeeded=counts.get("succeeded", 0),
        failed=counts.get("failed", 0),
        retried=counts.get("retried", 0),
        cancelled=counts.get("cancelled", 0),
        crashed=counts.get("crashed", 0),
        wait=Histogram.of(counts, "w"),
        run=Histogram.of(counts, "r"),
    )
    if type is not None:
        return found
    one = merged(samples, "", at)
    sizes = _together(samples)
    return replace(
        found,
        elsewhere=None if one.elsewhere is None else one.elsewhere.get("processed", 0),
        elsewhere_failed=None if one.elsewhere is None else one.elsewhere.get("failed", 0),
        sizes=sizes,
        oldest=None if one.oldest_seconds is None else timedelta(seconds=one.oldest_seconds),
    )


def _together(samples: Sequence[MetricSample]) -> Mapping[str, int] | None:
    """Return the sizes of several queues together: the largest of each queue in this step, added up."""
    queues: dict[str, list[Mapping[str, int]]] = {}
    for each in samples:
        if each.sizes is not None:
            queues.setdefault(each.queue, []).append(each.sizes)
    if not queues:
        return None
    return {name: sum(max(sizes.get(name, 0) for sizes in of_queue) for of_queue in queues.values()) for name in SIZES}


def _of_type(counts: TypeCounts, type: str | None) -> Iterable[Counts]:
    if type is None:
        return [*counts.by_type.values(), counts.others]
    if type == OTHER_TYPES:
        return [counts.others]
    return [counts.by_type[type]] if type in counts.by_type else []
