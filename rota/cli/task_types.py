"""`rota types`: the task types that live workers handle, as the workers publish them. The app is not imported."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Annotated, Any, cast

import typer
from pydantic_core import to_jsonable_python

from rota.cli import output
from rota.cli.inspecting import opened
from rota.cli.language import translated, translated_title
from rota.cli.option_types import AsJson, Url
from rota.core.duration import display
from rota.core.text import counted, did_you_mean, printable
from rota.errors import WorkerNotFound
from rota.inspect import TypeList, TypeSnapshot, TypeVersion


def command(
    name: Annotated[str | None, typer.Argument(help="Show all that is known of this task type.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the task types that live workers handle."""
    with opened(url) as inspector:
        found = inspector.types()
    shown = found.types if name is None else (_found(found, name),)
    if as_json:
        typer.echo(json.dumps([_plain(each) for each in shown], indent=2))
    elif name is None:
        _list(found)
    else:
        for line in _description(shown[0]):
            typer.echo(printable(line))


def _found(types: TypeList, name: str) -> TypeSnapshot:
    found = types.find(name)
    if found is None:
        advice = did_you_mean(name, [each.type for each in types.types])
        raise WorkerNotFound(f"No live worker publishes a handler for the type {name!r}. {advice}")
    return found


def _plain(snapshot: TypeSnapshot) -> dict[str, Any]:
    """Return the snapshot as JSON values; durations are in seconds."""
    versions = [
        {"summary": version.summary, "is_pattern": version.is_pattern, **_values(version)}
        for version in snapshot.versions
    ]
    return {"type": snapshot.type, "queues": snapshot.queues, "versions": versions}


def _values(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = to_jsonable_python(value, timedelta_mode="float")
    return plain


def _list(found: TypeList) -> None:
    if found.types:
        columns = [
            output.Column("type", folds=True),
            output.Column("queue"),
            output.Column("run"),
            output.Column("servers", right=True),
            output.Column("description", folds=True),
        ]
        output.print_table(columns, map(_row, found.types))
    for line in _remarks(found):
        output.note(line)


def _row(snapshot: TypeSnapshot) -> tuple[str, ...]:
    latest = snapshot.versions[0]
    more = f" ({len(snapshot.versions)} versions)" if len(snapshot.versions) > 1 else ""
    summary = f"deprecated: {latest.deprecated}" if latest.deprecated is not None else latest.summary
    return snapshot.type, latest.defaults.queue, latest.defaults.run, str(len(snapshot.servers)), summary + more


def _remarks(found: TypeList) -> Iterator[str]:
    if not found.types:
        yield "No live worker publishes task types."
    if found.unpublished:
        servers = counted(len(found.unpublished), "live server")
        yield f"The types of {servers} are not known: Go servers publish none, and workers a moment after their start."
    if found.omitted:
        yield f"{counted(found.omitted, 'type')} did not fit into the record of its servers."


def _description(snapshot: TypeSnapshot) -> Iterator[str]:
    queues = ", ".join(snapshot.queues) or "-"
    one = f"{snapshot.type}: served in the queue {queues}"
    yield translated(one if len(snapshot.queues) == 1 else f"{snapshot.type}: served in the queues {queues}")
    for number, version in enumerate(snapshot.versions, 1):
        if len(snapshot.versions) > 1:
            yield f"version {number}"
        yield from _version_lines(version)
        if version.defaults.queue not in snapshot.queues:
            said = translated(f"No live worker takes this type from the queue {version.defaults.queue!r}.")
            yield f"  {translated_title('warning')}   {said}"


def _version_lines(version: TypeVersion) -> Iterator[str]:
    yield f"  source    {version.source}"
    yield f"  servers   {', '.join(version.servers)}"
    if version.deprecated is not None:
        yield f"  deprecated  {version.deprecated}"
    for each in fields(version.defaults):
        text = _text(getattr(version.defaults, each.name))
        if text:
            yield f"  {each.name:<9} {text}"
    yield from (f"  note      {note}" for note in version.notes)
    yield from (f"  {line}" for line in ("", *version.doc.splitlines()) if version.doc)
    if version.schema is not None:
        yield from (f"  {line}" for line in ("", *json.dumps(version.schema, indent=2).splitlines()))


def _text(value: Any) -> str:
    """Return a value for people. A group of options lists only those that differ from their defaults."""
    if isinstance(value, timedelta):
        return display(value)
    if is_dataclass(value):
        given = [each for each in fields(value) if getattr(value, each.name) != each.default]
        return ", ".join(f"{each.name} {_text(getattr(value, each.name))}" for each in given)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {text}" for name, text in cast("Mapping[str, str]", value).items())
    if isinstance(value, tuple):
        return " ".join(cast("tuple[str, ...]", value))
    return "" if value is None else str(value)
