"""`rota schedule list`, `show` and `versions`: what there is, what runs next, what failed."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from rota.cli import option_types, output
from rota.cli.language import language, translated, translated_title
from rota.cli.option_types import AsJson
from rota.cli.schedule.opened_store import (
    App,
    StoreUrl,
    Tag,
    calendars_of,
    declared_schedules,
    every_schedule,
    find_schedule,
    with_store,
)
from rota.cli.schedule.run_history import print_runs
from rota.cli.schedule.schedule_fields import field_lines, schedule_json
from rota.core.text import counted
from rota.errors import StoreNotFound
from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.describe import describe
from rota.schedule.run import ScheduleRun
from rota.schedule.simulation import simulate

if TYPE_CHECKING:
    from rota.store import Store
    from rota.store.overview import ScheduleOverview
    from rota.store.store_values import Hold

LATEST_RUNS = 5
NEXT_TIMES = 5
_FAR = datetime.max.replace(tzinfo=UTC)

Name = Annotated[str, typer.Argument(help="The name or ID of the schedule.")]


def list_schedules(
    text: Annotated[
        str, typer.Argument(help="Only those whose name, task type, owner, remark or tags have this.")
    ] = "",
    tag: Tag = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state, such as failing or paused.")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="The deleted ones.")] = False,
    app: App = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """List schedules: what runs next comes first, and what failed is red.

    Schedules that are declared in code are listed if an app is named, by --app or the setting `app`.
    """
    from rota.store.overview import ShownState

    option_types.one_of(state, "--state", get_args(ShownState))
    declared = [] if deleted else [each for each in declared_schedules(app) if _matches(each, text, tag)]

    async def act(opened: "Store") -> "tuple[list[ScheduleOverview], Hold | None]":
        found = await every_schedule(opened, text=text, tag=tag, deleted=deleted)
        hold = await opened.hold()
        return await _overviews(opened, [*found, *declared], hold, await calendars_of(opened)), hold

    found, hold = with_store(store, act)
    found = [each for each in found if state is None or each.state == state]
    found.sort(key=lambda each: (each.next_at or _FAR, each.schedule.definition.name))
    if as_json:
        output.print_json([_overview_json(each) for each in found])
        return
    at = output.now()
    columns = [
        output.Column("name", folds=True),
        output.Column("state"),
        output.Column("next"),
        output.Column("last"),
        output.Column("when", folds=True),
        output.Column("task type", folds=True, optional=True),
    ]
    if found:
        output.print_table(columns, (_list_row(each, at) for each in found))
    for line in _list_remarks(found, hold, at):
        output.note(line)


def _matches(schedule: StoredSchedule, text: str, tag: str | None) -> bool:
    definition = schedule.definition
    words = (definition.name, definition.task_type, definition.owner, definition.remark, *definition.tags)
    return (tag is None or tag in definition.tags) and any(text.casefold() in (word or "").casefold() for word in words)


def show(name: Name, app: App = None, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Show one schedule: its fields, its next times and its latest runs."""
    declared = declared_schedules(app)

    async def act(opened: "Store") -> "tuple[ScheduleOverview, list[datetime], list[ScheduleRun], Any]":
        schedule = await find_schedule(opened, name, declared=declared)
        calendars = await calendars_of(opened)
        [overview] = await _overviews(opened, [schedule], await opened.hold(), calendars)
        times = _times(schedule, calendars)
        page = await opened.runs(schedule.id, limit=LATEST_RUNS)
        return overview, times, list(page.items), await opened.statistics(schedule.id)

    overview, times, runs, statistics = with_store(store, act)
    if as_json:
        output.print_json({**_overview_json(overview), "next_times": times, "runs": runs, "statistics": statistics})
        return
    for line in _show_lines(overview):
        output.echo(line)
    zone = overview.schedule.definition.timezone
    at = output.now()
    if times:
        output.say("\nnext times")
        output.print_table(
            [output.Column("time"), output.Column("from now")],
            [(output.at_zone(each, zone), output.relative(each, at)) for each in times],
        )
    if runs:
        rate = "" if statistics.success_rate is None else f", {statistics.success_rate:.0%} of the last ones succeeded"
        output.say(f"\nlatest runs{rate}")
        print_runs(runs, zone)


def versions(name: Name, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """List the versions of a schedule: who changed which fields, and when. The newest comes first."""

    async def act(opened: "Store") -> list[Any]:
        try:
            schedule = await find_schedule(opened, name)
        except StoreNotFound as unknown:
            try:
                schedule = await find_schedule(opened, name, deleted=True)
            except StoreNotFound:
                raise unknown from None  # which names the schedules that there are
        return list((await opened.versions(schedule.id, limit=500)).items)

    found = with_store(store, act)
    if as_json:
        rows = [
            {
                "version": each.version,
                "act": each.act,
                "changed": each.changed,
                "at": each.at,
                "by": each.by,
                "definition": each.definition.to_mapping(),
            }
            for each in found
        ]
        output.print_json(rows)
        return
    at = output.now()
    columns = [output.Column("version", right=True), output.Column("when"), output.Column("by"), output.Column("act")]
    output.print_table(
        [*columns, output.Column("fields", folds=True)],
        [(str(v.version), output.relative(v.at, at), v.by, v.act, ", ".join(v.changed)) for v in found],
    )


async def _overviews(
    store: "Store", schedules: list[StoredSchedule], hold: "Hold | None", calendars: dict[str, Calendar]
) -> "list[ScheduleOverview]":
    from rota.store.overview import overview_of
    from rota.store.store_values import ScheduleProgress

    ids = [each.id for each in schedules]
    progress = await store.progress(ids)
    begun = await store.open_schedules(ids[0] if len(ids) == 1 else None)
    at = output.now()
    return [
        overview_of(
            each,
            progress.get(each.id, ScheduleProgress(schedule_id=each.id)),
            at,
            hold=hold,
            is_open=each.id in begun,
            has_begun=begun.get(each.id, False),
            calendar=calendars.get(each.definition.calendar or ""),
        )
        for each in schedules
    ]


def _times(schedule: StoredSchedule, calendars: dict[str, Calendar]) -> list[datetime]:
    times = simulate(schedule, output.now(), calendars=calendars)
    return [each.at for _, each in zip(range(NEXT_TIMES), times, strict=False)]


def _list_row(each: "ScheduleOverview", at: datetime) -> tuple[str, ...]:
    definition, progress = each.schedule.definition, each.progress
    last = "-"
    if progress.last_outcome is not None:
        row = translated(f"{progress.failures_in_row} in a row")
        last = f"{progress.last_outcome} ({row})" if progress.failures_in_row > 1 else progress.last_outcome
    next_at = output.relative(each.next_at, at)
    return definition.name, each.state, next_at, last, _when(definition), definition.task_type


def _when(definition: ScheduleDefinition) -> str:
    if definition.specs:
        return describe(definition.specs, language(), timezone=definition.timezone)
    if definition.process_at is not None:
        return translated(f"once, {definition.process_at:%Y-%m-%d %H:%M} UTC")
    return translated("on demand")


def _list_remarks(found: "list[ScheduleOverview]", hold: "Hold | None", at: datetime) -> Iterator[str]:
    if hold is not None and hold.holds(at):
        why = f": {hold.reason}" if hold.reason else ""
        until = f" until {hold.until:%Y-%m-%d %H:%M} UTC" if hold.until else ""
        yield f"All schedules are stopped by {hold.by}{until}{why}. `rota schedule start --all` lets them go on."
    if not found:
        yield "There are no such schedules. `rota schedule list` shows all, and `rota schedule add` makes one."
        return
    states = Counter(each.state for each in found)
    yield f"{counted(len(found), 'schedule')}: {', '.join(f'{number} {state}' for state, number in states.items())}."


def _show_lines(overview: "ScheduleOverview") -> Iterator[str]:
    schedule, progress = overview.schedule, overview.progress
    why = f" ({translated(overview.why_paused)})" if overview.why_paused else ""
    yield f"{schedule.definition.name}: {overview.state}{why}"
    facts = {
        translated_title("id"): schedule.id,
        translated_title("version"): translated(f"{schedule.version}, edited by {schedule.updated_by or '-'}"),
        translated_title("when"): _when(schedule.definition),
    }
    for name, value in schedule.definition.to_mapping().items():
        if name != "name":
            facts[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    runs = f"{progress.fired} fired, {progress.failed} failed, {progress.skipped} skipped"
    yield from field_lines({**facts, translated_title("runs"): translated(runs)})


def _overview_json(each: "ScheduleOverview") -> dict[str, Any]:
    about = {"state": each.state, "why_paused": each.why_paused, "next_at": each.next_at, "progress": each.progress}
    return {**schedule_json(each.schedule), **about}
