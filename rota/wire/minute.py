"""Counts of outcomes by the minute, for each queue and task type: how workers write them, and how they are read.

A worker adds up a batch of outcomes and sends its counts in the call that records the batch (`lua/minute.lua`). For
each type these are the names of `HOW`, `n` (all of them together), and two histograms: `w7` counts the tasks that were
pending for a time in bucket 7 before their run began, and `r7` the runs that took a time in that bucket. The counts of
a minute are kept for two hours, those of all time for good. The latest minute is open: its counts are added to those of
all time when the next minute begins, so that a batch writes one hash. `look_total` reads both.

An outcome is counted at most once: the script adds the counts of a batch only if it records the whole batch. If some of
it is refused, the worker sends the counts of the rest in another call, once. So after a lost connection some outcomes
may not be counted, and none is counted twice. The outcomes that other programs record, such as Go servers, are in
Asynq's counters alone.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.names import text
from rota.wire.script import Argument, Call, load

HOW = ("succeeded", "failed", "retried", "cancelled", "crashed")
"""How attempts end. `failed` is for good, `retried` is a failure with a retry. All but `crashed` are in Asynq's count
of processed tasks. A crash is the death of the worker; the task runs again, or is counted as failed too."""
PROCESSED = HOW[:4]
MOST_TYPES = 100
"""The most types in one hash. Others are counted together."""
LONGEST_TYPE = 200
"""The most bytes of the name of a type that is counted by itself."""
KEPT_MINUTES = 120
MOST_FIELDS = 4000
"""The most fields of hashes that one call reads, which takes the server about a millisecond."""

_FIRST_SECONDS, _FACTOR, _BUCKETS = 1e-4, 1.5, 52
BOUNDS = tuple(_FIRST_SECONDS * _FACTOR**number for number in range(_BUCKETS))
"""The upper bound of each bucket in seconds, from 0.1 ms to a day. A longer time is in a further bucket."""
BOUNDS_US = tuple(bound * 1e6 for bound in BOUNDS)

Counts = dict[str, int]
"""Counts of one type by their names."""


class TypeCounts(NamedTuple):
    """The counts of a queue by type, and those of all types beyond `MOST_TYPES` together."""

    by_type: dict[str, Counts]
    others: Counts


def words(type: str, ends: Mapping[str, int], waits_us: list[float], runs: list[float]) -> list[Argument]:
    """Return the counts of one type as the scripts read them: names and numbers in turn.

    `ends` says how many attempts ended in which way. The waits are in microseconds, the runs in seconds; the lists are
    sorted, and negative values are left out.
    """
    found: list[Argument] = [f"n:{type}", sum(ends.values())]
    for how, number in ends.items():
        found += (f"{how}:{type}", number)
    for letter, values, bounds in (("w", waits_us, BOUNDS_US), ("r", runs, BOUNDS)):
        # A search for each bucket costs less than one for each value, because a batch has many values in few buckets.
        values.sort()
        at, end = bisect_left(values, 0), len(values)
        while at < end:
            bucket = bisect_left(bounds, values[at])
            after = end if bucket == len(bounds) else bisect_right(values, bounds[bucket], at)
            found += (f"{letter}{bucket}:{type}", after - at)
            at = after
    return found


def add(queue: QueueKeys, counts: Sequence[Argument]) -> Call[int]:
    """Add the counts of a part of a batch. Must not be sent again, because it would count twice."""
    return Call(load("minute_add"), (_total(queue),), (queue.minute_prefix, len(counts), *counts), int)


class Minutes(NamedTuple):
    """The server's time in seconds, and the counts of minutes since 1970, the latest first."""

    now: float
    counts: dict[int, TypeCounts]


class Totals(NamedTuple):
    """The counts of all time, and all that was processed and failed in the queue, also by Go servers.

    `without_runs` has what Rota counted without the run of a worker, such as the members of aggregated groups.
    """

    counts: TypeCounts
    processed: int
    failed: int
    without_runs: Counts

    def elsewhere(self) -> Counts:
        """Return what others than the workers that count by minute have processed and failed."""
        ours = added([*self.counts.by_type.values(), self.counts.others])
        processed = sum(ours.get(how, 0) for how in PROCESSED) + self.without_runs.get("processed", 0)
        failed = ours.get("failed", 0) + ours.get("retried", 0) + self.without_runs.get("failed", 0)
        return {"processed": max(0, self.processed - processed), "failed": max(0, self.failed - failed)}


def look(queue: QueueKeys, latest: int | None, minutes: int) -> Call[Minutes]:
    """Read the counts of some minutes back from `latest`, by default from the present one.

    Fewer are returned if they are large: ask again from before the last one. At least one is read.
    """
    args = (queue.minute_prefix, "" if latest is None else latest, minutes, MOST_FIELDS)
    return Call(load("look_minutes"), _keys(queue), args, lambda reply: _minutes(reply, latest))


def look_total(queue: QueueKeys) -> Call[Totals]:
    """Read the counts of all time, and Asynq's counters at the same moment."""
    return Call(load("look_minutes"), _keys(queue), (queue.minute_prefix, "", 0, MOST_FIELDS), _read_total)


def _total(queue: QueueKeys) -> str:
    return f"{queue.minute_prefix}total"


def _keys(queue: QueueKeys) -> tuple[str, ...]:
    return _total(queue), f"{queue.minute_prefix}open", queue.processed, queue.failed


def _read_total(reply: Any) -> Totals:
    total, latest, folding = map(_fields, reply[1:4])
    without_runs = {name: int(total.get(f"without_runs_{name}", 0)) for name in ("processed", "failed")}
    folded = int(latest.get("minute", b"").split()[2]) if folding else 0
    numbers = range(folded + 1, int(folding.get("types", 0)) + 1)
    left = {text(folding.get(f"type_{number}", b"")) for number in numbers}
    minute_before = {type: counts for type, counts in read(reply[3]).by_type.items() if type in left}
    counts = with_minute(with_minute(read(reply[1]), minute_before), read(reply[2]).by_type)
    return Totals(counts, int(reply[4] or 0), int(reply[5] or 0), without_runs)


def with_minute(total: TypeCounts, by_type: Mapping[str, Counts]) -> TypeCounts:
    """Return the total with these counts of a minute, as the scripts will add them.

    A type without counts in the total belongs to the others. The other types of the minute are in the total already.
    """
    found = TypeCounts(dict(total.by_type), total.others)
    for type, counts in by_type.items():
        if type in found.by_type or len(found.by_type) < MOST_TYPES:
            found.by_type[type] = added([found.by_type.get(type, {}), counts])
        else:
            found = found._replace(others=added([found.others, counts]))
    return found


def _fields(reply: Sequence[bytes]) -> dict[str, bytes]:
    return dict(zip(map(text, reply[::2]), reply[1::2], strict=True))


def _minutes(reply: Any, latest: int | None) -> Minutes:
    now = float(reply[0])
    first = int(now // 60) if latest is None else latest
    return Minutes(now, {first - back: read(fields) for back, fields in enumerate(reply[1:])})


def read(fields: Sequence[bytes]) -> TypeCounts:
    """Read the fields and values of a hash. A field that is not a count is left out."""
    found = TypeCounts({}, {})
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        field, colon, type = text(name).partition(":")
        if value.isdigit() and is_count(field):
            counts = found.by_type.setdefault(type, {}) if colon else found.others
            counts[field] = int(value)
    return found


def is_count(name: str) -> bool:
    """Whether this is the name of a count."""
    return name == "n" or name in HOW or (name[:1] in ("w", "r") and name[1:].isdigit() and int(name[1:]) <= _BUCKETS)


def added(some: Iterable[Mapping[str, int]]) -> Counts:
    """Return the sums of counts by their names."""
    total: Counts = {}
    for counts in some:
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return total
