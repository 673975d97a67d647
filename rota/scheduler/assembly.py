"""Makes the scheduler of an app: from its settings, its schedules and its providers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from rota.broker.broker import Broker
from rota.client.packing import Packer
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.scheduler.retention import Retention
from rota.scheduler.run_plans import RunPlans
from rota.scheduler.scheduler import Scheduler
from rota.scheduler.sources import CodeSource, ProviderSource, ScheduleSource
from rota.settings.settings import Settings
from rota.tasks.job import Plan
from rota.tasks.options import EnqueueOptions

if TYPE_CHECKING:
    from rota.app import Rota
    from rota.scheduler.store_source import StoreSource


def scheduler_of(
    app: "Rota",
    settings: Settings,
    broker: Broker,
    *,
    schedules: Iterable[ScheduleDefinition] = (),
    sources: Sequence[ScheduleSource] = (),
) -> Scheduler:
    """Make a scheduler that fires the given schedules, those of further sources and those of the store that is set.

    Raises ConfigError for a wrong store, and ScheduleInvalid for a wrong schedule of the app.

    The tasks are made as `app.plan` makes them, so that the options of registered tasks apply.
    """

    def plan(type: str, payload: object, options: Mapping[str, Any]) -> Plan[Any]:
        return app.plan(type, payload, **cast("EnqueueOptions", options))

    given: tuple[StoredSchedule | ScheduleDefinition, ...] = (*app.schedules, *schedules)
    own: list[ScheduleSource] = [CodeSource("code", lambda: given)]
    zone = settings.schedules.timezone
    own += [
        ProviderSource(each.function, name=each.name, every=each.interval, timezone=zone)
        for each in app.schedule_providers
    ]
    packer = Packer(broker.keys, settings.enqueue.payload_limit_bytes)
    plans = RunPlans(packer, plan, app.enqueue_middlewares)
    keep = Retention.of(settings.database)
    store = _store_of(settings.database.store)
    return Scheduler(broker, [*own, *sources], plans, store=store, keep=keep)


def _store_of(url: str | None) -> "StoreSource | None":
    if url is None:
        return None
    from rota.scheduler.store_source import StoreSource  # a program without a store may lack what the store needs

    return StoreSource(url)
