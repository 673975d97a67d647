"""`rota calendar`: the calendars of the store, which say on which days schedules do not fire.

A calendar comes from a file of YAML, JSON or iCalendar, or from the public holidays of a country.
A calendar whose dates end soon is reported wherever it is shown, because schedules then fire on the holidays after it.
"""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rota.cli import output, questions
from rota.cli.language import translated
from rota.cli.option_types import AsJson, Yes
from rota.cli.schedule.opened_store import ORIGIN, StoreUrl, every_schedule, with_store
from rota.cli.schedule.text_files import read_text, write_text
from rota.core.text import counted, did_you_mean
from rota.errors import ConfigError, StoreNotFound
from rota.inspect.named_queue import actor
from rota.schedule.calendar import Calendar
from rota.schedule.ical import read_ical, write_ical
from rota.schedule.public_holidays import public_holidays
from rota.schedule.schedule_file import read_content, write_content

if TYPE_CHECKING:
    from rota.store import Store
    from rota.store.store_values import StoredCalendar

program = typer.Typer(
    name="calendar",
    no_args_is_help=True,
    help="Calendars: days on which schedules do not fire.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Name = Annotated[str, typer.Argument(help="The name of the calendar.")]
FORMATS = ("yaml", "json", "ical")
_SUFFIXES = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".ics": "ical"}
_YEARS_AHEAD = 2


@program.command(name="list")
def list_calendars(store: StoreUrl = None, as_json: AsJson = False) -> None:
    """List the calendars, the last day that each knows, and the schedules that use it."""

    async def act(opened: "Store") -> "tuple[list[StoredCalendar], dict[str, list[str]]]":
        users: dict[str, list[str]] = {}
        for schedule in await every_schedule(opened):
            if schedule.definition.calendar is not None:
                users.setdefault(schedule.definition.calendar, []).append(schedule.definition.name)
        return list((await opened.calendars()).items), users

    found, users = with_store(store, act)
    if as_json:
        output.print_json([{**_json(each), "schedules": users.get(each.name, [])} for each in found])
        return
    if not found:
        output.note("There are no calendars. `rota calendar import` makes one.")
        return
    columns = [
        output.Column("name"),
        output.Column("ends"),
        output.Column("updated"),
        output.Column("by"),
        output.Column("schedules", folds=True),
    ]
    rows = [
        (
            each.name,
            each.calendar.ends.isoformat() if each.calendar.ends else translated("never"),
            f"{each.updated_at:%Y-%m-%d}",
            each.updated_by,
            ", ".join(users.get(each.name, [])) or "-",
        )
        for each in found
    ]
    output.print_table(columns, rows)
    for each in found:
        _warn(each.calendar)


@program.command()
def show(
    name: Name,
    day: Annotated[str | None, typer.Option(help="Only say whether this day is a day off, and why.")] = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show a calendar in the form of a file. With --day, say what one day is."""
    stored = with_store(store, lambda opened: _find(opened, name))
    if day is not None:
        wanted = _day(day, "--day")
        reason = stored.calendar.reason(wanted)
        if as_json:
            output.print_json({"day": wanted, "off": stored.calendar.is_off(wanted), "reason": reason})
        else:
            output.say(f"{reason}.")
    elif as_json:
        output.print_json(_json(stored))
    else:
        typer.echo(write_content(stored.calendar.to_mapping()), nl=False)
    _warn(stored.calendar)


@program.command(name="import")
def import_calendar(
    file: Annotated[str | None, typer.Argument(help="A .yaml, .json or .ics file, or - for YAML from stdin.")] = None,
    name: Annotated[str | None, typer.Option(help="The name. Default: that in the file, or the country.")] = None,
    country: Annotated[str | None, typer.Option(help="Public holidays of this country (ISO 3166), such as CN.")] = None,
    years: Annotated[str | None, typer.Option(help="For --country: 2026,2027.")] = None,
    subdivision: Annotated[str | None, typer.Option(help="For --country: a state or province, such as BY.")] = None,
    language: Annotated[str | None, typer.Option(help="For --country: the language of the labels, as zh_CN.")] = None,
    until: Annotated[str | None, typer.Option(help="For .ics: the last day of events that repeat.")] = None,
    yes: Yes = False,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Save a calendar from a file, or from the public holidays of a country. Asks before it replaces one."""
    if (file is None) == (country is None):
        raise ConfigError("Where does the calendar come from? Name a file, or write --country CN --years 2026,2027.")
    if country is None and (years or subdivision or language):
        raise ConfigError("--years, --subdivision and --language belong to --country.")
    if country is not None:
        if until is not None:
            raise ConfigError("--until belongs to an .ics file; --years says which years --country has.")
        calendar = public_holidays(country, _years(years), subdivision=subdivision, language=language, name=name or "")
    else:
        calendar = _read(file or "", name, _day(until, "--until") if until else None)
    present = with_store(store, lambda opened: _present(opened, calendar.name), missing="empty")
    if present is not None and present.calendar == calendar:
        if as_json:
            output.print_json(_json(present))
        else:
            output.say(f"The calendar {calendar.name!r} is as it was.")
        return
    if present is None:
        questions.guard(f"Save the calendar {calendar.name!r}?")
    elif not questions.agreed(f"Replace the calendar {calendar.name!r}?", yes=yes):
        raise typer.Exit(1)
    version = 0 if present is None else present.version
    saved = with_store(
        store,
        lambda opened: opened.save_calendar(calendar, by=actor(), expected_version=version, origin=ORIGIN),
        missing="make",
    )
    if as_json:
        output.print_json(_json(saved))
    else:
        _say_saved(calendar, was_there=present is not None)
    _warn(calendar)


def _say_saved(calendar: Calendar, *, was_there: bool) -> None:
    dates, name = counted(len(calendar.days_off.dates), "date"), repr(calendar.name)
    output.say(
        f"Replaced the calendar {name} with {dates}." if was_there else f"Saved the calendar {name} with {dates}."
    )


@program.command()
def export(
    name: Name,
    form: Annotated[str | None, typer.Option("--format", help="yaml, json or ical. Default: as the suffix.")] = None,
    out: Annotated[str | None, typer.Option("--output", "-o", help="The file. Default: standard output.")] = None,
    store: StoreUrl = None,
) -> None:
    """Write a calendar as YAML, JSON or iCalendar. `rota calendar import` reads each of them."""
    chosen = form or _SUFFIXES.get(Path(out or "").suffix.lower(), "yaml")
    if chosen not in FORMATS:
        raise ConfigError(f"--format is {chosen!r}. {did_you_mean(chosen, FORMATS)}")
    calendar = with_store(store, lambda opened: _find(opened, name)).calendar
    text = write_ical(calendar) if chosen == "ical" else write_content(calendar.to_mapping(), as_json=chosen == "json")
    write_text(text, out)


@program.command()
def delete(name: Name, yes: Yes = False, store: StoreUrl = None) -> None:
    """Delete a calendar that no schedule uses."""
    stored = with_store(store, lambda opened: _find(opened, name))
    if not questions.agreed(f"Delete the calendar {name!r}?", yes=yes):
        raise typer.Exit(1)
    with_store(
        store,
        lambda opened: opened.delete_calendar(name, by=actor(), expected_version=stored.version, origin=ORIGIN),
    )
    output.say(f"Deleted the calendar {name!r}.")


async def _find(store: "Store", name: str) -> "StoredCalendar":
    known = (await store.calendars()).items
    for each in known:
        if each.name == name:
            return each
    raise StoreNotFound(f"There is no calendar {name!r}. {did_you_mean(name, [each.name for each in known])}")


async def _present(store: "Store", name: str) -> "StoredCalendar | None":
    return next((each for each in (await store.calendars()).items if each.name == name), None)


def _read(file: str, name: str | None, until: date | None) -> Calendar:
    """Read a file of the form that its suffix names."""
    text = read_text(file)
    form = "yaml" if file == "-" else _SUFFIXES.get(Path(file).suffix.lower())
    if form is None:
        raise ConfigError(f"{file} does not end in {', '.join(_SUFFIXES)}, so its form is not known.")
    if form == "ical":
        last = until or date(output.now().year + _YEARS_AHEAD, 12, 31)
        calendar, left_out = read_ical(text, until=last, name=name or "")
        for line in left_out:
            output.warn(line)
        return calendar
    if until is not None:
        raise ConfigError("--until belongs to an .ics file.")
    content = read_content(text, file)
    return Calendar.read({**content, "name": name} if name and isinstance(content, dict) else content)


def _years(text: str | None) -> list[int]:
    try:
        found = [int(each) for each in (text or "").split(",") if each.strip()]
    except ValueError:
        found = []
    if not found or not all(1900 <= each <= 2200 for each in found):
        raise ConfigError(f"--years is {text!r}: write the years of the calendar, such as 2026,2027.")
    return found


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}: write a day such as 2026-12-31.") from None


def _json(stored: "StoredCalendar") -> dict[str, object]:
    return {
        "version": stored.version,
        "updated_at": stored.updated_at,
        "updated_by": stored.updated_by,
        "warning": stored.calendar.warning(output.now().date()),
        "calendar": stored.calendar.to_mapping(),
    }


def _warn(calendar: Calendar) -> None:
    if (warning := calendar.warning(output.now().date())) is not None:
        output.warn(warning)
