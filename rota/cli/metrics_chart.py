"""Shows a series of metrics in a terminal: a line of bars for each value, and a table by task type.

The bars fill the width of the terminal. If there are more points than columns, neighbours are merged: counts are added,
and percentiles computed anew from the merged histograms.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from rich.cells import set_cell_size

from rota.cli.language import language, translated, translated_title
from rota.cli.output import Column, echo, print_table, say, sparkline, terminal_width
from rota.core.duration import display
from rota.core.text import counted
from rota.inspect.histogram import Histogram
from rota.inspect.metric_series import OTHER_TYPES, MetricPoint, MetricSeries
from rota.wire.minute import added

_LABEL, _VALUE = 12, 14
"""Columns for the name of a value, and for its largest value."""
_NARROWEST, _WIDEST = 10, 160
_UNITS = (("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def show(found: MetricSeries, *, queue: str | None, type: str | None) -> None:
    """Print a series."""
    first, last = found.points[0].at, found.points[-1].at + found.step
    what = queue or counted(len(found.queues), "queue")
    colon = ": " if language() == "en" else "："
    echo(f"{translated(what)}{f', {type}' if type else ''}{colon}{_period(first, last)}")
    _show_total(found.total)
    say("")
    width = max(_NARROWEST, min(_WIDEST, terminal_width() - _LABEL - _VALUE))
    points, step = fitted(found.points, width, found.step)
    rows: list[tuple[str, list[float], Callable[[float], str]]] = [
        ("processed", [float(each.processed) for each in points], lambda most: f"{most:,.0f}/{_span(step)}"),
        ("failed", [float(each.failed + each.retried) for each in points], lambda most: f"{most:,.0f}/{_span(step)}"),
        ("crashed", [float(each.crashed) for each in points], lambda most: f"{most:,.0f}/{_span(step)}"),
        ("wait p95", [_seconds(each.wait) for each in points], lambda most: duration(timedelta(seconds=most))),
        ("run p95", [_seconds(each.run) for each in points], lambda most: duration(timedelta(seconds=most))),
    ]
    if any(each.sizes for each in points):
        sizes = [float((each.sizes or {}).get("pending", 0)) for each in points]
        rows.insert(3, ("pending", sizes, lambda most: f"{most:,.0f}"))
    for name, values, unit in rows:
        most = max(values)
        if most or name in ("processed", "failed"):
            label = set_cell_size(translated_title(name), _LABEL)
            say(f"{label}{sparkline([value or None for value in values])} {unit(most)}")
    _show_types(found)


def fitted(points: Sequence[MetricPoint], width: int, step: timedelta) -> tuple[list[MetricPoint], timedelta]:
    """Return points that fit a width, and their step. Each is merged from the same number of neighbours."""
    size = -(-len(points) // width)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [_merged(part) for part in parts], size * step


def duration(length: timedelta | None) -> str:
    """Return a time with two digits in the unit that fits it: `1.2 ms`, `45 s`; `-` for None."""
    if length is None:
        return "-"
    seconds = length.total_seconds()
    for unit, size in _UNITS:
        if seconds >= size:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return "0"


def _merged(points: Sequence[MetricPoint]) -> MetricPoint:
    if len(points) == 1:
        return points[0]
    known = [each.sizes for each in points if each.sizes is not None]
    names = {name for sizes in known for name in sizes}
    return MetricPoint(
        at=points[0].at,
        succeeded=sum(each.succeeded for each in points),
        failed=sum(each.failed for each in points),
        retried=sum(each.retried for each in points),
        cancelled=sum(each.cancelled for each in points),
        crashed=sum(each.crashed for each in points),
        wait=_together([each.wait for each in points]),
        run=_together([each.run for each in points]),
        sizes={name: max(sizes.get(name, 0) for sizes in known) for name in names} if known else None,
    )


def _together(histograms: Sequence[Histogram]) -> Histogram:
    sums = added({str(bucket): number for bucket, number in each.buckets.items()} for each in histograms)
    return Histogram({int(bucket): number for bucket, number in sums.items()})


def _show_total(total: MetricPoint) -> None:
    failures = total.failed + total.retried
    share = f"{100 * failures / total.processed:.2g}" if total.processed else "0"
    say(f"{total.processed:,} processed, {failures:,} failed ({share} %), of them {total.failed:,} for good")
    if total.cancelled or total.crashed:
        say(f"{total.cancelled:,} cancelled, {total.crashed:,} crashed")
    if total.elsewhere:
        say(f"and {total.elsewhere:,} processed by Go servers or others: types and times are not known")
    p50, p95, p99 = (duration(total.wait.percentile(percent)) for percent in (50, 95, 99))
    say(f"wait: p50 {p50}, p95 {p95}, p99 {p99}")
    p50, p95, p99 = (duration(total.run.percentile(percent)) for percent in (50, 95, 99))
    say(f"run: p50 {p50}, p95 {p95}, p99 {p99}")


def _show_types(found: MetricSeries) -> None:
    if not found.types:
        return
    say("")
    columns = [
        Column("type", folds=True),
        Column("processed", right=True),
        Column("failed", right=True),
        Column("crashed", right=True, optional=True),
        Column("wait p95", right=True),
        Column("run p50", right=True, optional=True),
        Column("run p95", right=True),
    ]
    rows = [
        (
            translated(name) if name == OTHER_TYPES else name,
            f"{point.processed:,}",
            f"{point.failed + point.retried:,}",
            f"{point.crashed:,}",
            duration(point.wait.percentile(95)),
            duration(point.run.percentile(50)),
            duration(point.run.percentile(95)),
        )
        for name, point in sorted(found.types.items(), key=lambda pair: (-pair[1].processed, pair[0]))
    ]
    print_table(columns, rows)


def _period(first: datetime, last: datetime) -> str:
    start, end = first.astimezone(), last.astimezone()
    day = "%Y-%m-%d %H:%M"
    return f"{start:{day}} – {end:%H:%M}" if start.date() == end.date() else f"{start:{day}} – {end:{day}}"


def _span(step: timedelta) -> str:
    return display(step).removeprefix("1") if display(step)[1:].isalpha() else display(step)


def _seconds(times: Histogram) -> float:
    found = times.percentile(95)
    return 0.0 if found is None else found.total_seconds()
