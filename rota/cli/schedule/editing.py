"""`rota schedule add`, `edit`, `delete` and `restore`: changes of definitions, each a version that can come back."""

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rota.cli import option_types, output, questions
from rota.cli.language import language, translated
from rota.cli.option_types import AsJson, Url, Yes
from rota.cli.schedule.opened_store import (
    ORIGIN,
    All,
    Names,
    StoreUrl,
    Tag,
    chosen_schedules,
    find_schedule,
    hint_of_store,
    with_store,
)
from rota.cli.schedule.schedule_fields import field_value, schedule_json
from rota.cli.schedule.served import confirmed, is_elsewhere
from rota.core.text import counted, did_you_mean
from rota.errors import ConfigError, ScheduleInvalid
from rota.inspect.named_queue import actor
from rota.schedule.apply_plan import changed_fields
from rota.schedule.definition import FIELDS, ScheduleDefinition, StoredSchedule
from rota.schedule.describe import describe
from rota.schedule.schedule_file import read_file, write_file
from rota.schedule.timetable import LATEST_MOMENT, never_fires

if TYPE_CHECKING:
    from rota.store import Store

Spec = Annotated[
    list[str] | None,
    typer.Option("--spec", "--cron", help="When it fires: '0 3 * * *' or '@every 10m'; may be repeated."),
]
Timezone = Annotated[str | None, typer.Option("--timezone", "--tz", help="The time zone, as Europe/Berlin.")]
At = Annotated[str | None, typer.Option("--at", help="Fire once, at this time (ISO 8601).")]
In = Annotated[str | None, typer.Option("--in", help="Fire once, after this delay: 5m, 1h30m.")]
Queue = Annotated[str | None, typer.Option(help="The queue.")]
AddTag = Annotated[list[str] | None, typer.Option("--tag", help="A tag; may be repeated.")]
Remark = Annotated[str | None, typer.Option(help="A remark for people.")]
Fields = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any field: name=value, where value is JSON or a plain text; may be repeated."),
]
OnVersion = Annotated[int | None, typer.Option("--version", help="Refuse if this is not the present version.")]


def add(
    name: Annotated[str, typer.Argument(help="The name of the schedule.")],
    task_type: Annotated[str, typer.Argument(help="The task type, such as backup:database.")],
    payload: Annotated[str, typer.Argument(help="The arguments of the task as one JSON object.")] = "{}",
    spec: Spec = None,
    timezone: Timezone = None,
    at: At = None,
    after: In = None,
    queue: Queue = None,
    tag: AddTag = None,
    remark: Remark = None,
    stopped: Annotated[bool, typer.Option("--stopped", help="Do not start it yet.")] = False,
    fields: Fields = None,
    yes: Yes = False,
    url: Url = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Add a schedule. With --at or --in it fires once; with neither these nor --spec it runs on demand.

    Asks first if live workers publish their task types, and none takes this one in its queue.
    """
    given = _given(spec=spec, timezone=timezone, at=at, after=after, queue=queue, tag=tag, remark=remark, fields=fields)
    words = {
        "name": name,
        "task_type": task_type,
        "payload": option_types.json_payload(payload),
        "kind": _kind(given),
        **given,
    }
    if stopped:
        words["enabled"] = False
    definition = ScheduleDefinition.read(words)
    if problem := never_fires(definition, output.now()):
        raise ScheduleInvalid(f"The schedule {name!r} is wrong: {problem}", problems=[("specs", problem)])
    if not confirmed(definition, url, yes=yes):
        raise typer.Exit(1)
    made = with_store(store, lambda opened: opened.create(definition, by=actor(), origin=ORIGIN), missing="make")
    if as_json:
        output.print_json(schedule_json(made))
        return
    output.say(f"Added {made.definition.name!r} ({made.id}): {_when(made.definition)}.")
    if (hint := hint_of_store(store)) is not None:
        output.note(hint)


def edit(
    name: Annotated[str, typer.Argument(help="The name or ID of the schedule.")],
    spec: Spec = None,
    timezone: Timezone = None,
    at: At = None,
    after: In = None,
    queue: Queue = None,
    tag: AddTag = None,
    remark: Remark = None,
    fields: Fields = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", help="A field that gets its default; may be repeated.")
    ] = None,
    version: OnVersion = None,
    yes: Yes = False,
    url: Url = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Change fields of a schedule. Without options, open its definition in $EDITOR.

    Asks first if the task type or the queue is new, live workers publish their types, and none takes it there.
    """
    patch = _given(spec=spec, timezone=timezone, at=at, after=after, queue=queue, tag=tag, remark=remark, fields=fields)
    for field in unset or []:
        patch[_field(field)] = None

    before = with_store(store, lambda opened: find_schedule(opened, name))
    change = patch or _edited(before)
    expected = version if patch else before.version  # an editor may be open for a long time
    wanted = before.definition.patched(change)
    if not confirmed(wanted, url, yes=yes, is_new=is_elsewhere(before.definition, wanted)):
        raise typer.Exit(1)
    if problem := never_fires(wanted, output.now()):
        output.warn(problem)
    by = actor()
    after_edit = with_store(
        store, lambda opened: opened.update(before.id, change, by=by, origin=ORIGIN, expected_version=expected)
    )
    if as_json:
        output.print_json(schedule_json(after_edit))
        return
    _show_change(before, after_edit)


def delete(
    names: Names = None,
    everything: All = False,
    tag: Tag = None,
    yes: Yes = False,
    store: StoreUrl = None,
) -> None:
    """Delete schedules. `rota schedule restore` undoes it; runs that are under way go on."""

    async def find(opened: "Store") -> list[StoredSchedule]:
        return [
            each
            for each in await chosen_schedules(opened, names, everything=everything, tag=tag)
            if names or each.source == "database"
        ]

    async def act(opened: "Store") -> None:
        for each in found:
            await opened.delete(each.id, by=actor(), origin=ORIGIN)

    found = with_store(store, find)
    if not found:
        output.note("There is nothing to delete.")
        return
    shown = ", ".join(repr(each.definition.name) for each in found[:5]) + (", ..." if len(found) > 5 else "")
    if not questions.agreed(f"Delete {counted(len(found), 'schedule')} ({shown})?", yes=yes):
        raise typer.Exit(1)
    with_store(store, act)
    output.say(f"Deleted {counted(len(found), 'schedule')}. `rota schedule restore` brings one back.")


def restore(
    name: Annotated[str, typer.Argument(help="The name or ID of the schedule.")],
    version: Annotated[int | None, typer.Option("--version", help="Bring back this version of its definition.")] = None,
    store: StoreUrl = None,
) -> None:
    """Bring back a deleted schedule, or an earlier version of one (`rota schedule versions` lists them)."""

    async def act(opened: "Store") -> tuple[StoredSchedule, StoredSchedule]:
        before = await find_schedule(opened, name, deleted=version is None)
        return before, await opened.restore(before.id, version=version, by=actor(), origin=ORIGIN)

    questions.guard(f"Restore the schedule {name!r}?")
    before, made = with_store(store, act)
    if before.deleted_at is not None:
        output.say(f"Restored {made.definition.name!r}: {_when(made.definition)}.")
    else:
        _show_change(before, made)


def _given(
    *,
    spec: Sequence[str] | None,
    timezone: str | None,
    at: str | None,
    after: str | None,
    queue: str | None,
    tag: Sequence[str] | None,
    remark: str | None,
    fields: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the fields that the options give."""
    words: dict[str, Any] = {
        "specs": list(spec) if spec else None,
        "timezone": timezone,
        "process_at": _moment(at),
        "process_in": after,
        "queue": queue,
        "tags": list(tag) if tag else None,
        "remark": remark,
    }
    given = {name: value for name, value in words.items() if value is not None}
    for pair in fields or []:
        name, separator, value = pair.partition("=")
        if not separator:
            raise ConfigError(f"--set {pair!r} is not of the form name=value.")
        given[_field(name.strip())] = _value(value)
    return given


def _moment(text: str | None) -> str | None:
    found = option_types.instant(text, "--at")
    if found is not None and found < output.now() - LATEST_MOMENT:
        raise ConfigError(f"--at is {found.isoformat()}, which is more than a day ago, so it would never fire.")
    return None if found is None else found.isoformat()


def _field(name: str) -> str:
    if name not in FIELDS:
        raise ConfigError(f"There is no field {name!r} of a schedule. {did_you_mean(name, FIELDS)}")
    return name


def _value(text: str) -> Any:
    """Read a value as JSON, and as a plain text if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _kind(given: dict[str, Any]) -> str:
    if "specs" in given:
        return "periodic"
    return "once" if {"process_at", "process_in"} & given.keys() else "wait"


def _edited(before: StoredSchedule) -> dict[str, Any]:
    """Return the patch that the user makes in an editor. A definition that is wrong is opened again."""
    text = write_file([before.definition])
    while True:
        changed = _in_editor(text)
        if changed == text:
            output.note("Nothing was changed.")
            raise typer.Exit(0)
        try:
            [filed] = read_file(changed, translated("the edited text")).schedules
        except (ConfigError, ValueError) as error:
            output.fail(f"{error}")
            if not questions.confirmed("Edit it again?", default=True):
                raise typer.Exit(1) from None
            text = changed
            continue
        written = filed.definition.to_mapping()
        return {name: written.get(name) for name in FIELDS}


def _in_editor(text: str) -> str:
    """Return a text as the user saves it in his editor. Raises ConfigError if the editor fails."""
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="rota-edit-") as folder:
        path = Path(folder, "schedule.yaml")
        path.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*command, str(path)], check=True)  # noqa: S603 # the user's own editor
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigError(
                f"The editor {command[0]!r} failed ({error}). Set EDITOR, or give the changes as options."
            ) from None
        return path.read_text(encoding="utf-8")


def _when(definition: ScheduleDefinition) -> str:
    if definition.kind == "wait":
        return "runs on demand"
    if definition.process_at is not None:
        return f"fires once, at {definition.process_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{describe(definition.specs, language(), timezone=definition.timezone)} ({definition.timezone})"


def _show_change(before: StoredSchedule, after: StoredSchedule) -> None:
    fields = changed_fields(before.definition, after.definition)
    if not fields:
        output.say(f"{after.definition.name!r} is as it was (version {after.version}).")
        return
    output.say(f"{after.definition.name!r} is at version {after.version}:")
    for each in fields:
        output.echo(f"  {each.field}: {field_value(each.before)} -> {field_value(each.after)}")
