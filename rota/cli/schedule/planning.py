"""`rota schedule preview`, `describe`, `simulate` and `forecast`: the times of schedules, before they come."""

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from rota.cli import option_types, output
from rota.cli.language import language, translated
from rota.cli.option_types import AsJson
from rota.cli.schedule.opened_store import StoreUrl, Tag, calendars_of, every_schedule, find_schedule, with_store
from rota.core.text import counted
from rota.errors import ConfigError
from rota.schedule.definition import StoredSchedule
from rota.schedule.describe import describe
from rota.schedule.forecast import Forecast, make_forecast
from rota.schedule.preview import PreviewNote, PreviewTime
from rota.schedule.preview import preview as next_times
from rota.schedule.simulation import SimulatedTime, simulate_all

if TYPE_CHECKING:
    from rota.store import Store

MOST_TIMES = 1000
MOST_SHOWN = 200
MOST_LINES = 10
_DAY = timedelta(days=1)
_NOTES: dict[PreviewNote, str] = {
    "normal": "",
    "shifted": "the clocks skip the written time, so it fires right after",
    "merged": "several written times meet here",
    "repeated": "the clocks show this time for the second time",
    "skipped": "does not fire: the clocks skip this time",
    "day_off": "does not fire: a day off",
}

Timezone = Annotated[str, typer.Option("--timezone", "--tz", help="The time zone, as Europe/Berlin.")]
Start = Annotated[str | None, typer.Option("--from", help="The start (ISO 8601; local without an offset).")]
SPEC_HELP = "A cron expression, @every, or words, such as 'every day at 02:30'."


def preview(
    spec: Annotated[list[str], typer.Argument(help=SPEC_HELP)],
    timezone: Timezone = "UTC",
    number: Annotated[int, typer.Option("--number", "-n", min=1, max=MOST_TIMES, help="How many times.")] = 5,
    start: Start = None,
    as_json: AsJson = False,
) -> None:
    """Show the next times of a spec, or of several, with a note at each clock change."""
    begin = option_types.instant(start, "--from") or output.now()
    times = next_times(spec, number, after=begin, timezone=timezone)
    if as_json:
        rows = [{"at": each.at, "fires": each.fires, "note": each.note} for each in times]
        output.print_json(rows)
        return
    typer.echo(describe(spec, language(), timezone=timezone))
    columns = [output.Column("time"), output.Column("from now"), output.Column("note", folds=True)]
    output.print_table(
        columns,
        [
            (output.dated(each.at, "%Y-%m-%d %H:%M:%S %z"), output.relative(each.at, begin), _note(each))
            for each in times
        ],
    )
    if sum(each.fires for each in times) < number:
        output.note("There are no further times.")


def _note(row: PreviewTime) -> str:
    """Say what is odd about a time, and how the clocks have changed since the row before."""
    parts = [_NOTES[row.note]] if _NOTES[row.note] else []
    if row.clock_change:
        way = "forward" if row.clock_change > timedelta(0) else "back"
        parts.append(f"the clocks were set {way} by {output.rough(abs(row.clock_change))}")
    return "; ".join(map(translated, parts))


def describe_spec(
    spec: Annotated[list[str], typer.Argument(help=SPEC_HELP)],
    lang: Annotated[
        str | None, typer.Option("--language", "--lang", help="en or zh. Default: that of the locale.")
    ] = None,
    timezone: Timezone = "UTC",
) -> None:
    """Say in words when a spec fires, in English or Chinese."""
    typer.echo(describe(spec, lang or language(), timezone=timezone))


def simulate_schedules(
    names: Annotated[list[str] | None, typer.Argument(help="Names or IDs of schedules. Default: all.")] = None,
    start: Start = None,
    end: Annotated[str | None, typer.Option("--until", help="The end. Default: a day after the start.")] = None,
    tag: Tag = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what schedules would fire in an interval, without firing it."""
    begin = (option_types.instant(start, "--from") or output.now()).astimezone(UTC)
    until = (option_types.instant(end, "--until") or begin + _DAY).astimezone(UTC)
    if until <= begin:
        raise ConfigError(f"The interval ends at {until.isoformat()}, which is not after {begin.isoformat()}.")

    async def act(opened: "Store") -> list[tuple[StoredSchedule, SimulatedTime]]:
        schedules = (
            [await find_schedule(opened, name) for name in names] if names else await every_schedule(opened, tag=tag)
        )
        calendars = await calendars_of(opened)
        found = simulate_all(schedules, begin, until, calendars=calendars)
        return sorted(found, key=lambda pair: (pair[1].at, pair[0].definition.name))

    found = with_store(store, act)
    if as_json:
        output.print_json(
            [{"at": each.at, "schedule": schedule.definition.name, "note": each.note} for schedule, each in found]
        )
        return
    columns = [output.Column("time (UTC)"), output.Column("schedule", folds=True), output.Column("note", folds=True)]
    rows = [
        (output.dated(each.at, "%Y-%m-%d %H:%M:%S"), schedule.definition.name, translated(each.note))
        for schedule, each in found
    ]
    output.print_table(columns, rows[:MOST_SHOWN])
    output.note(f"{counted(len(rows), 'fire')} from {begin:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC.")
    if len(rows) > MOST_SHOWN:
        output.note(f"The first {MOST_SHOWN} of them are shown. --json shows all.")


def forecast(
    days: Annotated[int, typer.Option(min=1, max=31, help="How many days.")] = 7,
    limit: Annotated[int, typer.Option(min=1, help="A minute in which more schedules fire is crowded.")] = 10,
    tag: Tag = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show how many fires the next days bring, which minutes are crowded, and how to spread them."""

    async def act(opened: "Store") -> Forecast:
        schedules = await every_schedule(opened, tag=tag)
        start = output.now()
        calendars = await calendars_of(opened)
        return make_forecast(schedules, start, start + days * _DAY, limit=limit, calendars=calendars)

    found = with_store(store, act)
    if as_json:
        crowded = [{"minute": minute, "schedules": number} for minute, number in found.crowded.items()]
        per_day = {str(day): number for day, number in found.days.items()}
        output.print_json({"days": per_day, "crowded": crowded, "proposals": found.proposals})
        return
    rows = [(output.dated(day, "%Y-%m-%d"), str(number)) for day, number in found.days.items()]
    output.print_table([output.Column("day (UTC)"), output.Column("fires", right=True)], rows)
    if not found.crowded:
        output.say(f"No minute has fires of more than {counted(limit, 'schedule')}.")
        return
    minutes = counted(len(found.crowded), "minute")
    output.say(f"\n{minutes} with fires of more than {counted(limit, 'schedule')}; the fullest ones:")
    rows = [(output.dated(minute, "%Y-%m-%d %H:%M"), str(number)) for minute, number in found.crowded.items()]
    output.print_table([output.Column("minute (UTC)"), output.Column("schedules", right=True)], rows[:MOST_LINES])
    for line in found.proposals[:MOST_LINES]:
        output.say(line)
