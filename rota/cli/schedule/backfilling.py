"""`rota schedule backfill`: runs the planned times of a past interval, a few at once.

The command gives the leader one order after the other, each for one planned time, and waits for the ends. Ctrl-C ends
the command, and the runs that it has started go on. Given again, it goes on with the times that are left.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

import typer

from rota.app import Rota
from rota.cli import option_types, output, questions
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Url, Yes
from rota.cli.schedule.opened_store import (
    App,
    StoreUrl,
    calendars_of,
    declared_schedules,
    find_schedule,
    with_store,
)
from rota.cli.schedule.ordering import CANCELLED, FAILED, SKIPPED, outcome_of
from rota.core.text import counted, did_you_mean
from rota.errors import ConfigError, RotaError, SchedulerAway
from rota.inspect.named_queue import actor
from rota.schedule.backfill import BackfillPlan, What, backfill_order_id, plan_backfill
from rota.schedule.definition import StoredSchedule
from rota.schedule.run import ScheduleRun
from rota.scheduler.orders import ScheduleOrder, carry_out

if TYPE_CHECKING:
    from rota.store import Store

_WORDS = {0: "succeeded", FAILED: "failed", SKIPPED: "skipped", CANCELLED: "cancelled"}
_TAKE_OVER_SECONDS = 10
"""How long a backfill waits for another scheduler to lead."""


def backfill(
    name: Annotated[str, typer.Argument(help="The name or ID of the schedule.")],
    start: Annotated[str, typer.Option("--from", help="The first planned time (ISO 8601).")],
    until: Annotated[str, typer.Option("--until", help="Planned times before this one (ISO 8601).")],
    what: Annotated[str, typer.Option(help="missing, failed (and missing), or all.")] = "missing",
    at_once: Annotated[int, typer.Option(min=1, max=100, help="Runs that are not over at the same time.")] = 1,
    order: Annotated[str, typer.Option(help="oldest or newest first.")] = "oldest",
    queue: Annotated[str | None, typer.Option(help="The queue of the runs, instead of that of the schedule.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the runs.")] = False,
    yes: Yes = False,
    app: App = None,
    store: StoreUrl = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Run the planned times of a past interval. After Ctrl-C, the same command goes on with those that are left.

    A schedule that is declared in code is found if its app is named, by --app or the setting `app`. The exit code is 1
    if a run did not succeed.
    """
    _check(what, ("missing", "failed", "all"), "--what")
    _check(order, ("oldest", "newest"), "--order")
    interval = (
        cast("datetime", option_types.instant(start, "--from")),
        cast("datetime", option_types.instant(until, "--until")),
    )
    declared = declared_schedules(app)
    schedule, plan = with_store(store, lambda opened: _plan(opened, name, *interval, cast("What", what), declared))
    if dry_run or not plan.times:
        _show_plan(schedule, plan, as_json)
        return
    if not questions.agreed(
        f"Run {counted(len(plan.times), 'planned time')} of {schedule.definition.name!r}?", yes=yes
    ):
        raise typer.Exit(1)
    times = iter(plan.times if order == "oldest" else plan.times[::-1])
    tally = Counter[str]()
    try:
        with_app(url, lambda app: _fill(app, schedule.id, times, at_once, queue, tally))
    except KeyboardInterrupt:
        if as_json:
            output.print_json(dict(tally))
        output.note(f"\nStopped. {_counts(tally)}; the same command goes on with the others.")
        raise typer.Exit(130) from None
    except RotaError:
        if tally:
            _show_tally(tally, as_json)
        raise
    _show_tally(tally, as_json)
    raise typer.Exit(0 if set(tally) <= {"succeeded"} else 1)


async def _plan(
    store: "Store", name: str, start: datetime, end: datetime, what: What, declared: Sequence[StoredSchedule]
) -> tuple[StoredSchedule, BackfillPlan]:
    schedule = await find_schedule(store, name, declared=declared)
    start, end = start.astimezone(UTC), min(end.astimezone(UTC), output.now())
    if start >= end:
        raise ConfigError("--from must be before --until, and in the past.")
    calendar = None
    if schedule.definition.calendar is not None:
        calendar = (await calendars_of(store)).get(schedule.definition.calendar)
    runs: list[ScheduleRun] = []
    cursor: str | None = None
    while True:
        page = await store.runs(schedule.id, since=start, until=end, cursor=cursor, limit=500)
        runs += page.items
        if (cursor := page.next) is None:
            break
    return schedule, plan_backfill(schedule, runs, start=start, end=end, what=what, calendar=calendar)


async def _fill(
    app: Rota, schedule: str, times: Iterator[datetime], at_once: int, queue: str | None, tally: "Counter[str]"
) -> None:
    """Run the times, at most `at_once` at the same time. The first error of the server or the leader ends all."""

    async def run_in_turn() -> None:
        for at in times:
            run = await _start(app, schedule, at, queue)
            code, lines = await outcome_of(app, run)
            tally[_WORDS[code]] += 1
            if code != 0:
                output.note(f"{output.at_zone(at, 'UTC')} {_WORDS[code]}: {lines[0]!s}")

    output.note(
        f"Waiting for the end of each run, at most {at_once} at once. Ctrl-C stops, and the same command goes on."
    )
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(run_in_turn())
    except* RotaError as errors:
        raise _first(errors) from None


async def _start(app: Rota, schedule: str, at: datetime, queue: str | None) -> ScheduleRun:
    order = ScheduleOrder(
        id=backfill_order_id(at),
        kind="run",
        schedule=schedule,
        by=actor(),
        definition=None if queue is None else {"queue": queue},
        overlap="allow",
        planned_at=at,
        cause="backfill",
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(_TAKE_OVER_SECONDS):
            while True:
                with suppress(SchedulerAway):
                    return cast("ScheduleRun", (await app.client.carry_out(carry_out(app.keys, order))).run)
                await asyncio.sleep(0.5)
    return cast("ScheduleRun", (await app.client.carry_out(carry_out(app.keys, order))).run)


def _first(errors: BaseExceptionGroup[RotaError]) -> RotaError:
    each: RotaError | BaseExceptionGroup[RotaError] = errors
    while not isinstance(each, RotaError):
        each = each.exceptions[0]
    return each


def _show_plan(schedule: StoredSchedule, plan: BackfillPlan, as_json: bool) -> None:
    if as_json:
        output.print_json({"runs": len(plan.times), "done": plan.done, "times": plan.times})
        return
    done = f" ({plan.done} were backfilled before)" if plan.done else ""
    if not plan.times:
        output.say(f"There is nothing to run{done}. `rota schedule again` repeats a single run.")
        return
    zone = schedule.definition.timezone
    first, last = output.at_zone(plan.times[0], zone), output.at_zone(plan.times[-1], zone)
    output.say(f"{counted(len(plan.times), 'run')}{done}: from {first} to {last}.")


def _show_tally(tally: "Counter[str]", as_json: bool) -> None:
    if as_json:
        output.print_json(dict(tally))
    else:
        output.say(_counts(tally))


def _counts(tally: "Counter[str]") -> str:
    return ", ".join(f"{number} {word}" for word, number in tally.items()) or "No run is over"


def _check(word: str, words: tuple[str, ...], option: str) -> None:
    if word not in words:
        raise ConfigError(f"{option} is {word!r}. {did_you_mean(word, words)} It must be one of {', '.join(words)}.")
