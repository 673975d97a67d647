"""`rota task edit` and `unlock`: another payload, and a unique lock that is in the way; of one task or of many."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from rota.app import Rota
from rota.cli import output, questions
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Queue, Url, Yes
from rota.cli.task.many import All, Group, Ids, State, Where, Which, act_on
from rota.errors import OptionError
from rota.inspect import EditPayload, FreeLock
from rota.inspect.named_queue import actor
from rota.inspect.query_parser import payload_assignment


def edit(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IDS]... [PAYLOAD]",
            help="IDs of tasks, and then the new payload unless --set is given; - reads it from standard input.",
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Set a value in the JSON payload and keep the rest: user.name=Anna. May be repeated.",
        ),
    ] = None,
    queue: Queue = None,
    everything: All = False,
    state: State = None,
    group: Group = None,
    where: Where = None,
    run: Annotated[bool, typer.Option("--run", help="Make the tasks run next.")] = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Do not compare it with the schema that the workers publish.")
    ] = False,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Replace the payload of tasks that are not running, or single values in it, as of tasks that failed on it."""
    ids = list(words or ())
    if sets:
        act = EditPayload(fields=_fields(sets), run=run, check=not no_check)
    elif not ids:
        raise OptionError("Name the new payload, or the values that change by --set: --set user.name=Anna.")
    else:
        act = EditPayload(_payload(ids.pop()), run=run, check=not no_check)
    which = Which(ids, queue, everything, state, group, where)
    act_on(act, which, "Edit and run" if run else "Edit", yes, url, as_json)


def _payload(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        raise OptionError(
            f"The last word is the new payload, and {text!r} is not JSON. Quote it for the shell; a payload that is "
            "not JSON is read from standard input (-)."
        ) from None
    return text.encode()


def _fields(sets: Sequence[str]) -> dict[str, Any]:
    """Read `path=value`: a value is JSON, and a text if it is not JSON."""
    fields: dict[str, Any] = {}
    for each in sets:
        pair = payload_assignment(each)
        if pair is None:
            raise OptionError(f"--set {each} has not the form path=value, as in --set user.name=Anna.")
        try:
            fields[pair[0]] = json.loads(pair[1])
        except ValueError:
            fields[pair[0]] = pair[1]
        except RecursionError:
            raise OptionError(f"The value for {pair[0]} cannot be written as JSON: it is nested too deeply.") from None
    return fields


def unlock(
    ids: Ids = None,
    queue: Queue = None,
    everything: All = False,
    state: State = None,
    group: Group = None,
    where: Where = None,
    type_name: Annotated[str | None, typer.Option("--type", help="The task type, without an ID.")] = None,
    payload: Annotated[str | None, typer.Option(help="The payload of the type.")] = None,
    key: Annotated[str | None, typer.Option(help="The unique key that the enqueue names.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also if its task holds it and has not ended.")] = False,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Free unique locks that are in the way: their tasks are gone or have ended."""
    if type_name is None:
        if payload is not None or key is not None:
            raise OptionError("--payload and --key name a lock with --type.")
        which = Which(ids or (), queue, everything, state, group, where)
        act_on(FreeLock(force), which, "Unlock", yes, url, as_json, is_risky=force)
        return
    if ids or everything or where is not None or state is not None or group is not None:
        raise OptionError("Name locks by the IDs of tasks, by --all, by --where, or by --type.")
    if queue is None or (payload is None) == (key is None):
        raise OptionError("--type needs --queue, and --payload or --key.")
    is_freed = _unlock_one(queue, type_name, None if payload is None else payload.encode(), key, force, yes, url)
    if as_json:
        output.print_json({"freed": is_freed})
    else:
        output.say("The lock was freed." if is_freed else "The lock was free.")


def _unlock_one(
    queue: str, type_name: str, payload: bytes | None, key: str | None, force: bool, yes: bool, url: str | None
) -> bool:
    if not force:
        questions.guard("Free a unique lock?")
    elif not questions.agreed("Free a lock that a task may hold, so that a second one can run?", yes=yes):
        raise typer.Exit(1)

    async def act(app: Rota) -> bool:
        actions = app.actions(by=actor())
        return await actions.free_lock(queue, actions.lock_of(queue, type_name, payload=payload, key=key), force=force)

    return with_app(url, act)


COMMANDS: tuple[Callable[..., None], ...] = (edit, unlock)
