"""`rota schedule check`, `apply`, `export` and `import-crontab`: schedules in files, for version control."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from rota.cli import output, questions
from rota.cli.option_types import AsJson, Url, Yes
from rota.cli.schedule.opened_store import ORIGIN, StoreUrl, Tag, every_schedule, find_schedule, with_store
from rota.cli.schedule.schedule_fields import field_value
from rota.cli.schedule.served import is_elsewhere, warnings_of
from rota.cli.schedule.text_files import read_text, source_of, write_text
from rota.core.text import counted, printable
from rota.errors import ConfigError, RotaError, ScheduleInvalid
from rota.inspect.named_queue import actor
from rota.schedule.apply_plan import ApplyPlan, plan_apply
from rota.schedule.crontab import COMMAND_TYPE, read_crontab
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.schedule_file import ScheduleFile, read_file, write_file
from rota.schedule.timetable import never_fires

if TYPE_CHECKING:
    from rota.store import Store

SUFFIXES = (".yaml", ".yml", ".json")
Files = Annotated[
    list[str],
    typer.Option("--file", "-f", help="A file, a folder of .yaml and .json files, or - for stdin; may be repeated."),
]


def check(file: Files, as_json: AsJson = False) -> None:
    """Check files of schedules without a database. Exit code 2 if something is wrong."""
    try:
        found = _read(file)
    except ScheduleInvalid as error:
        if as_json:
            output.print_json(
                {"valid": False, "problems": [{"place": at, "text": text} for at, text in error.problems]}
            )
            raise typer.Exit(2) from None
        raise
    if as_json:
        output.print_json({"valid": True, "schedules": [each.definition.name for each in found.schedules]})
    else:
        output.say(f"{counted(len(found.schedules), 'schedule')}: nothing is wrong.")


def apply(
    file: Files,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete schedules that have the files' tag and are not in the files.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    yes: Yes = False,
    url: Url = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make the stored schedules as the files say. Shows the changes and asks first; a second time changes nothing.

    `enabled`, `pause_until` and `pause_note` stay as they are, unless a file names them. With --dry-run the exit code
    is 1 if something would change.
    """
    wanted = _read(file)

    async def look(opened: "Store") -> ApplyPlan:
        return plan_apply(wanted, await every_schedule(opened), prune=prune)

    plan = with_store(store, look, missing="empty")
    if as_json:
        output.print_json(_plan_json(plan))
    else:
        _show_plan(plan)
    if plan.is_empty:
        return
    for line in _warnings(plan, url):
        output.warn(line)
    if dry_run:
        raise typer.Exit(1)
    number = len(plan.create) + len(plan.update) + len(plan.delete)
    if not questions.agreed(f"Apply {counted(number, 'change')}?", yes=yes):
        raise typer.Exit(1)
    failed = with_store(store, lambda opened: _carry_out(opened, plan), missing="make")
    for line in failed:
        output.fail(f"{line}")
    if failed:
        output.note(f"{counted(number - len(failed), 'change')} of {number} applied. Apply the files again.")
        raise typer.Exit(1)
    if not as_json:
        output.say(f"Applied {counted(number, 'change')}.")


def export(
    names: Annotated[list[str] | None, typer.Argument(help="Names or IDs of schedules. Default: all.")] = None,
    tag: Tag = None,
    as_json: AsJson = False,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="The file. Default: standard output.")] = None,
    store: StoreUrl = None,
) -> None:
    """Write schedules as a file that `rota schedule apply` reads."""

    async def act(opened: "Store") -> list[StoredSchedule]:
        if names:
            return [await find_schedule(opened, name) for name in names]
        return [each for each in await every_schedule(opened, tag=tag) if each.source == "database"]

    found = with_store(store, act)
    text = write_file((each.definition for each in found), as_json=as_json)
    write_text(text, to)
    if to is not None:
        output.note(f"Wrote {counted(len(found), 'schedule')} to {to}.")


def import_crontab(
    file: Annotated[str, typer.Argument(help="A crontab, or - for stdin: crontab -l | rota schedule import-crontab -")],
    timezone: Annotated[str, typer.Option("--timezone", "--tz", help="The time zone of the machine.")] = "UTC",
    task_type: Annotated[str, typer.Option(help="The task type that runs the commands.")] = COMMAND_TYPE,
    system: Annotated[
        bool, typer.Option("--system", help="Its lines name a user, as those of /etc/crontab do.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn a crontab into a file of schedules, and print it. Nothing is stored: look at it, then apply it.

    The commands do not go into the schedules. They are printed as the setting JOBS_COMMANDS of the ready-made handler.
    """
    found = read_crontab(read_text(file), source_of(file), timezone=timezone, task_type=task_type, system=system)
    commands = {name: {"argv": ["/bin/sh", "-c", command]} for name, command in found.commands.items()}
    if as_json:
        schedules = [definition.to_mapping() for definition in found.definitions]
        notes = [{"place": source_line, "text": text} for source_line, text in found.notes]
        output.print_json({"schedules": schedules, "commands": commands, "notes": notes})
        return
    for source_line, text in found.notes:
        output.note(f"note {source_line}: {text}")
    typer.echo(f"JOBS_COMMANDS={json.dumps(commands, ensure_ascii=False)}", err=True)
    typer.echo(write_file(found.definitions), nl=False)


def _warnings(plan: ApplyPlan, url: str | None) -> Iterator[str]:
    """Yield what a user may want to know of new and changed schedules before they are saved."""
    changed = [*plan.create, *(change.wanted for change in plan.update)]
    for definition in changed:
        if problem := never_fires(definition, output.now()):
            yield f"{definition.name}: {problem}"
    moved = [each.wanted for each in plan.update if is_elsewhere(each.stored.definition, each.wanted)]
    if elsewhere := [*plan.create, *moved]:
        yield from warnings_of(elsewhere, url)


async def _carry_out(store: "Store", plan: ApplyPlan) -> list[str]:
    """Apply the changes one by one. A change that fails is reported, and the others are applied."""
    failed: list[str] = []
    by = actor()
    for definition in plan.create:
        await _attempt(failed, definition.name, store.create(definition, by=by, origin=ORIGIN))
    for change in plan.update:
        patch = {each.field: each.after for each in change.fields}
        edit = store.update(change.stored.id, patch, by=by, origin=ORIGIN, expected_version=change.stored.version)
        await _attempt(failed, change.wanted.name, edit)
    for stored in plan.delete:
        act = store.delete(stored.id, by=by, origin=ORIGIN, expected_version=stored.version)
        await _attempt(failed, stored.definition.name, act)
    return failed


async def _attempt(failed: list[str], name: str, act: Any) -> None:
    try:
        await act
    except RotaError as error:
        failed.append(f"{name}: {error}")


def _read(files: list[str]) -> ScheduleFile:
    """Read all files. Every problem of all of them is reported at once."""
    found: list[ScheduleFile] = []
    problems: list[tuple[str, str]] = []
    for path in [path for file in files for path in _paths(file)]:
        try:
            found.append(read_file(read_text(path), source_of(path)))
        except ScheduleInvalid as error:
            problems += error.problems
    if problems:
        lines = "".join(f"\n- {source_line}: {text}" for source_line, text in problems)
        raise ScheduleInvalid(f"{counted(len(problems), 'problem')}, so nothing is changed:{lines}", problems=problems)
    return ScheduleFile.joined(found)


def _paths(file: str) -> Iterator[str]:
    path = Path(file)
    if file == "-" or not path.is_dir():
        yield file
        return
    names = sorted(str(each) for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
    if not names:
        raise ConfigError(f"The folder {file} has no file that ends in {', '.join(SUFFIXES)}.")
    yield from names


def _show_plan(plan: ApplyPlan) -> None:
    console = Console(highlight=False, soft_wrap=True)

    def line(style: str, text: str) -> None:
        console.print(f"[{style}]{escape(printable(text))}[/]")

    for definition in plan.create:
        line("green", f"+ {definition.name}: {_summary(definition)}")
    for change in plan.update:
        line("yellow", f"~ {change.wanted.name}")
        for each in change.fields:
            line("red", f"    - {each.field}: {field_value(each.before)}")
            line("green", f"    + {each.field}: {field_value(each.after)}")
    for stored in plan.delete:
        line("red", f"- {stored.definition.name}")
    output.say(
        f"{len(plan.create)} to create, {len(plan.update)} to change, {len(plan.delete)} to delete, "
        f"{len(plan.unchanged)} as they are."
    )


def _summary(definition: ScheduleDefinition) -> str:
    return f"{definition.task_type}, {', '.join(definition.specs) or definition.kind}"


def _plan_json(plan: ApplyPlan) -> dict[str, Any]:
    return {
        "create": [definition.to_mapping() for definition in plan.create],
        "update": [{"name": change.wanted.name, "fields": change.fields} for change in plan.update],
        "delete": [stored.definition.name for stored in plan.delete],
        "unchanged": [stored.definition.name for stored in plan.unchanged],
    }
