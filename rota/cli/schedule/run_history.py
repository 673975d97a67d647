"""`rota schedule runs` and `run-show`: what became of each planned time, with both halves of a run.

The first half says when the run was enqueued, or why it was not; the second how its task ended.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from rota.cli import option_types, output
from rota.cli.language import translated, translated_title
from rota.cli.option_types import AsJson
from rota.cli.schedule.opened_store import (
    App,
    Planned,
    RunName,
    StoreUrl,
    declared_schedules,
    every_schedule,
    find_run,
    find_schedule,
    with_store,
)
from rota.cli.schedule.schedule_fields import field_lines
from rota.core.text import printable
from rota.errors import StoreNotFound
from rota.schedule.definition import StoredSchedule
from rota.schedule.run import RunOutcome, ScheduleRun

if TYPE_CHECKING:
    from rota.store import Store

_LOG_LINES = 20


def runs(
    name: Annotated[str | None, typer.Argument(help="The name or ID of the schedule. Default: all.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only runs with this outcome, such as failed.")] = None,
    since: Annotated[str | None, typer.Option(help="Planned at this time or later (ISO 8601).")] = None,
    until: Annotated[str | None, typer.Option(help="Planned before this time (ISO 8601).")] = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, max=500, help="How many.")] = 20,
    app: App = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the latest planned one first: enqueued when or why not, and how they ended."""
    option_types.one_of(outcome, "--outcome", get_args(RunOutcome))
    declared = declared_schedules(app)

    async def act(opened: "Store") -> tuple[list[ScheduleRun], dict[str, str], str]:
        schedule = None if name is None else await find_schedule(opened, name, declared=declared)
        page = await opened.runs(
            None if schedule is None else schedule.id,
            outcome=outcome,  # type: ignore[arg-type] # checked above
            since=option_types.instant(since, "--since"),
            until=option_types.instant(until, "--until"),
            limit=number,
        )
        known = [schedule] if schedule else [*declared, *await every_schedule(opened)]
        names = {each.id: each.definition.name for each in known}
        return list(page.items), names, schedule.definition.timezone if schedule else "UTC"

    found, names, zone = with_store(store, act)
    if as_json:
        output.print_json(found)
    elif found:
        print_runs(found, zone, names if name is None else None)
    else:
        output.note("There are no such runs.")


def run_show(
    name: RunName,
    planned: Planned = None,
    log: Annotated[bool, typer.Option("--log", help="Print only the log lines, all of them.")] = False,
    app: App = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show one run: both halves, its attempts, its result or its error, and its last log lines."""
    declared, at = declared_schedules(app), option_types.instant(planned, "--planned")

    async def act(opened: "Store") -> tuple[ScheduleRun, StoredSchedule | None]:
        run = await find_run(opened, name, at, declared)
        known = next((each for each in declared if each.id == run.schedule_id), None)
        with suppress(StoreNotFound):  # it is declared in code, and no app was named
            known = known or await opened.get(run.schedule_id)
        return run, known

    run, schedule = with_store(store, act)
    if as_json:
        output.print_json(run.log if log else run)
        return
    for line in map(printable, run.log) if log else _run_lines(run, schedule):
        output.echo(line)


def print_runs(runs: list[ScheduleRun], zone: str, names: dict[str, str] | None = None) -> None:
    """Print a table of runs; `names` has the names of their schedules, if they are of several."""
    columns = [
        output.Column("planned"),
        *([output.Column("schedule", folds=True)] if names is not None else []),
        output.Column("outcome"),
        output.Column("took", right=True, optional=True),
        output.Column("late", right=True, optional=True),
        output.Column("cause", optional=True),
        output.Column("about", folds=True),
        output.Column("run", optional=True),
    ]
    output.print_table(columns, (_run_row(run, zone, names) for run in runs))


def _run_row(run: ScheduleRun, zone: str, names: dict[str, str] | None) -> tuple[str, ...]:
    late = None if run.enqueued_at is None else max(run.enqueued_at - run.planned_at, timedelta(0))
    took = None if run.started_at is None or run.ended_at is None else run.ended_at - run.started_at
    outcome: str = run.outcome or ("running" if run.started_at else "enqueued")
    if run.skip_count > 1:
        outcome += f" ({run.skip_count})"
    about = run.error.splitlines()[0] if run.error else translated(run.note) or (run.skip_reason or "")
    return (
        output.at_zone(run.planned_at, zone),
        *((names.get(run.schedule_id, run.schedule_id),) if names is not None else ()),
        outcome,
        output.precise(took),
        output.precise(late),
        _cause(run),
        about,
        run.id,
    )


def _cause(run: ScheduleRun) -> str:
    return f"{run.cause} ({run.by})" if run.by else run.cause


def _run_lines(run: ScheduleRun, schedule: StoredSchedule | None) -> Iterator[str]:
    zone = schedule.definition.timezone if schedule else "UTC"

    def at(moment: datetime | None) -> str:
        return output.at_zone(moment, zone) if moment else ""

    yield f"{run.id}: {run.outcome or translated('not over')}"
    facts: dict[str, str] = {
        "schedule": f"{schedule.definition.name} ({run.schedule_id})" if schedule else run.schedule_id,
        "version": str(run.schedule_version),
        "planned": at(run.planned_at),
        "cause": _cause(run),
        "enqueued": translated(f"{at(run.enqueued_at)} in the queue {run.queue}" if run.enqueued_at else "no"),
        "task type": run.task_type,
        "tasks": ", ".join(run.task_ids),
        "started": at(run.started_at),
        "ended": at(run.ended_at),
        "skipped": run.skip_reason or "",
        "note": translated(run.note),
        "result": run.result.decode(errors="replace") if run.result else "",
        "error": run.error,
    }
    yield from field_lines({translated_title(name): value for name, value in facts.items() if value})
    for number, attempt in enumerate(run.attempts, 1):
        ended = attempt.ended_at
        took = output.precise(ended - attempt.started_at) if ended else "not over"
        yield translated(f"\nattempt {number} on {attempt.worker}: {at(attempt.started_at)}, {took}")
        yield from (f"  {printable(line)}" for line in (attempt.traceback or attempt.error).splitlines())
    if run.log:
        last = run.log[-_LOG_LINES:]
        some = f"log, the last {len(last)} of {len(run.log)} lines (--log)"
        yield f"\n{translated_title('log') if len(last) == len(run.log) else translated(some)}"
        yield from (f"  {printable(line)}" for line in last)
