"""`rota metrics`: what the workers did over time, as charts and numbers; and the same for Prometheus.

The last two hours come from Redis. With a store, whose scheduler records the metrics of each minute, the command looks
further back, and shows sizes, and what Go servers processed.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rota.app import Rota
from rota.cli import metrics_chart, option_types
from rota.cli.opened_app import app_of, with_app
from rota.cli.option_types import AsJson, Url
from rota.cli.output import note, print_json, warn
from rota.cli.schedule.opened_store import fault_of_missing_store
from rota.client.requests import Requests
from rota.core.duration import display
from rota.core.text import did_you_mean
from rota.errors import ConfigError
from rota.inspect import metric_series
from rota.inspect.metric_series import KEPT_IN_REDIS, STEPS, MetricPoint, MetricSample, MetricSeries
from rota.settings.settings import Settings

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.inspect import Inspector

_LONGEST_STEPS = 1500
_MINUTE = STEPS["minute"]
_EVERY_SECONDS = 15.0


def command(
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    type: Annotated[str | None, typer.Option("--type", help="Only this task type.")] = None,
    last: Annotated[str, typer.Option(help="How far to look back: 30m, 6h, 7d. More than 2h needs a store.")] = "1h",
    step: Annotated[
        str | None, typer.Option(help="Length of a point of --json: 1m, 1h, 1d. By default about 60 points.")
    ] = None,
    store: Annotated[str | None, typer.Option("--store", help="The database, instead of ROTA_STORE.")] = None,
    url: Url = None,
    as_json: AsJson = False,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Print the queues as metrics for Prometheus, and end.")
    ] = False,
    port: Annotated[int | None, typer.Option(help="Serve them at this port under /metrics, until interrupted.")] = None,
    host: Annotated[str, typer.Option(help="The address of the port.")] = "127.0.0.1",
) -> None:
    """Show throughput, failures, waits and run times of the last hour.

    Times are the 50th, 95th and 99th percentiles of merged histograms, exact to a fifth or so. Of tasks that Go servers
    ran, only numbers are known.
    """
    if port is not None:
        return asyncio.run(_serve(app_of(url), host, port))
    if prometheus:
        return typer.echo(asyncio.run(_exposed_once(app_of(url))), nl=False)
    length = option_types.duration(last, "--last") or timedelta(hours=1)
    points = _step(step, length)
    store_url = store or Settings().database.store
    if store_url is not None and (fault := fault_of_missing_store(store_url)) is not None:
        if store is not None:
            raise fault
        warn(str(fault))  # the last two hours are in Redis, whatever the settings say of a store
        store_url = None
    found = with_app(url, lambda app: _read(app.inspector(), store_url, length, points, queue, type))
    if as_json:
        return print_json(series_json(found))
    if queue is None and not found.queues:
        note(_nothing(length, store_url))
        return None
    metrics_chart.show(found, queue=queue, type=type)
    return None


def _step(given: str | None, length: timedelta) -> timedelta:
    """Return the length of a point. Raises ConfigError unless it is whole minutes and gives few enough points."""
    if length < _MINUTE:
        raise ConfigError(f"--last {length} is too short: the counts are by minute, so give 1m or more.")
    if given is None:
        return max(_MINUTE, -(-length // (60 * _MINUTE)) * _MINUTE)
    step = option_types.duration(given, "--step") or _MINUTE
    if step < _MINUTE or step % _MINUTE:
        raise ConfigError(f"--step {given} is not a number of whole minutes: give 1m, 1h or 1d.")
    if length / step > _LONGEST_STEPS:
        raise ConfigError(f"--last and --step make {length // step} points, more than {_LONGEST_STEPS}: raise --step.")
    return step


async def _read(
    inspector: "Inspector",
    store: str | None,
    length: timedelta,
    step: timedelta,
    queue: str | None,
    type: str | None,
) -> MetricSeries:
    if queue is not None and queue not in (names := await inspector.queues()):
        raise ConfigError(f"There is no queue {queue!r}. {did_you_mean(queue, names)}")
    live = await inspector.metric_samples(queue)
    until = _after(live, datetime.now(UTC), step)
    since = until - max(1, -(-length // step)) * step
    samples = live
    if store is not None:
        stored, end = await _stored(store, since, until, step, queue)
        samples = [*stored, *(each for each in live if each.at >= end)]
    elif length > KEPT_IN_REDIS:
        note("Without a store only the last two hours are known: set ROTA_STORE, or give --store.")
    found = metric_series.series(samples, since=since, until=until, step=step, queue=queue, type=type)
    if type is not None and found.queues and type not in found.types:
        everything = metric_series.series(samples, since=since, until=until, step=step, queue=queue)
        raise ConfigError(f"No run of type {type!r} is known in this time. {did_you_mean(type, everything.types)}")
    return found


async def _stored(
    url: str, since: datetime, until: datetime, step: timedelta, queue: str | None
) -> tuple[list[MetricSample], datetime]:
    from rota.store import open_store  # its libraries are an extra

    async with open_store(url) as store:
        return await metric_series.stored_samples(store, since=since, until=until, step=step, queue=queue)


def _after(samples: Sequence[MetricSample], now: datetime, step: timedelta) -> datetime:
    """Return the end of the step in which it is now, by the clock of the server if it is ahead of ours."""
    latest = max([now, *(each.at for each in samples)])
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return start + ((latest - start) // step + 1) * step


def _nothing(length: timedelta, store: str | None) -> str:
    where = "" if store else " Older ones are kept only in a store (ROTA_STORE), which a scheduler fills."
    return f"No worker of Rota has recorded an outcome in this time ({display(length)}).{where}"


def series_json(found: MetricSeries) -> dict[str, Any]:
    """Return a series as JSON values: times in seconds, percentiles beside the counts."""
    return {
        "queues": found.queues,
        "step_seconds": found.step.total_seconds(),
        "total": point_json(found.total),
        "types": {name: point_json(point) for name, point in found.types.items()},
        "points": [point_json(point) for point in found.points],
    }


def point_json(point: MetricPoint) -> dict[str, Any]:
    """Return a point as JSON values. A percentile without times is null, and so is what cannot be known."""
    return {
        "at": point.at,
        "processed": point.processed,
        "succeeded": point.succeeded,
        "failed": point.failed,
        "retried": point.retried,
        "cancelled": point.cancelled,
        "crashed": point.crashed,
        "elsewhere": point.elsewhere,
        "elsewhere_failed": point.elsewhere_failed,
        "wait_seconds": {f"p{percent}": point.wait.percentile(percent) for percent in (50, 95, 99)},
        "run_seconds": {f"p{percent}": point.run.percentile(percent) for percent in (50, 95, 99)},
        "sizes": point.sizes,
        "oldest_seconds": point.oldest,
    }


async def _exposed_once(app: Rota) -> str:
    async with app.connect() as broker:
        return await _exposed(broker)


async def _exposed(broker: "Broker") -> str:
    try:
        from rota.inspect.prometheus import expose, read_queues
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise ConfigError("This needs the library prometheus-client: pip install 'rota[metrics]'.") from None
    return expose(await Requests(broker).carry_out(read_queues(broker.keys)), time.time())


async def _serve(app: Rota, host: str, port: int) -> None:
    """Read the queues every 15 seconds, and answer each scrape with what was read last."""
    from rota.cli.metrics_port import serve

    async with app.connect() as broker:
        await serve(lambda: _exposed(broker), host, port, _EVERY_SECONDS)
