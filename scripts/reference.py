"""The tables of the reference pages, made from the code."""

import ast
import inspect
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from types import ModuleType
from typing import Any

from typer.main import get_group

import rota
from rota import errors, events
from rota.cli.program import program
from rota.settings.origin import ENVIRONMENT_PREFIX
from rota.settings.settings import GROUPS, Settings
from rota.tasks import go_values
from rota.tasks.options import EnqueueOptions, TaskOptions
from rota.tasks.policy import Debounce, Retry, Unique
from rota.wire import rights
from scripts.json_reference import json_tables
from scripts.method_reference import method_reference
from scripts.option_texts import DEBOUNCE_TEXTS, OPTION_TEXTS, RETRY_TEXTS, TASK_TEXTS, UNIQUE_TEXTS


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), *[list(row) for row in rows]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def error_table() -> str:
    """List what Rota raises, in the order of the source, with the kind each belongs to."""
    found = [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == errors.__name__
    ]
    rows = [
        (
            f"`{kind.__name__}`",
            ", ".join(f"`{base.__name__}`" for base in kind.__bases__),
            " ".join(_text(kind).split()),
        )
        for kind in found
    ]
    return table(("Error", "Is a", "Means"), rows)


def names_table() -> str:
    """List what `rota` holds for programs, but for the errors."""
    found = {name: getattr(rota, name) for name in rota.__all__}
    aliases = _alias_texts(go_values)
    rows = [
        (f"`{name}`", " ".join((aliases.get(name) or _text(thing)).partition("\n\n")[0].split()))
        for name, thing in found.items()
        if not (inspect.isclass(thing) and issubclass(thing, Exception))
    ]
    return table(("Name", "What it is"), rows)


def event_tables() -> str:
    """List the events of each module of the catalogue, in the order of the source."""
    titles = {
        "task_events": "Tasks and clients",
        "queue_events": "Queues and groups",
        "worker_events": "Workers",
        "schedule_events": "Schedulers and crons",
        "fleet_events": "Supervisors, commands and health",
        "dispatch": "Callbacks",
    }
    kinds = [events.Event]
    for kind in kinds:
        kinds += kind.__subclasses__()
    parts: list[str] = []
    for module, title in titles.items():
        home = f"{events.__name__}.{module}".rstrip(".")
        found = {kind.__name__: kind for kind in kinds if kind.__module__ == home and not kind.__subclasses__()}
        rows = [_event(found[name]) for name in vars(sys.modules[home]) if name in found]
        parts.append(f"## {title}\n\n{table(('Event', 'Level', 'Fields', 'Means'), rows)}")
    return "\n\n".join(parts)


def _event(kind: type[events.Event]) -> tuple[str, str, str, str]:
    level = logging.getLevelName(kind.level)
    if kind.severity is not events.Event.severity:
        level = _text(kind.severity).removeprefix("Return ").rstrip(".")
    fields = ", ".join(f"`{name}`" for name in kind.fields)
    return f"`{kind.__name__}`", level, fields or "–", " ".join(_text(kind).split())


def settings_tables() -> str:
    """List every setting with its default: a table for each group, in the order of the source."""
    # Made from the defaults, so that the page does not depend on the environment of the one who writes it.
    rows = Settings.model_construct().table()
    return "\n\n".join(
        f"## {group}\n\n{_text(kind)}\n\n"
        + table(
            ("Setting", "Default", "Environment", "What it is for"),
            [
                (
                    f"`{row.name}`",
                    f"`{row.value}`" if row.value else "–",
                    f"`{ENVIRONMENT_PREFIX}{row.name.upper()}`",
                    row.about,
                )
                for row in rows
                if row.group == group
            ],
        )
        for group, kind in GROUPS.items()
    )


def command_tables() -> str:
    """Show each command with its arguments and options."""
    return "\n\n".join(_command(name, command) for name, command in _commands(get_group(program)))


def _commands(group: Any, before: str = "") -> Iterable[tuple[str, Any]]:
    """Yield each command of a group with its whole name, and the commands of the groups in it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _command(name: str, command: Any) -> str:
    # Typer carries a Click of its own, whose classes are private: what is needed is asked by name.
    rows = [
        _parameter(parameter)
        for parameter in command.params
        if not getattr(parameter, "hidden", False) and "--profile" not in parameter.opts  # the page says it once
    ]
    return f"## rota {name}\n\n{inspect.cleandoc(command.help)}\n\n" + (
        table(("Argument or option", "Default", "What it does"), rows) if rows else "It takes no options."
    )


def _parameter(parameter: Any) -> tuple[str, str, str]:
    names = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else [parameter.name]
    default = "–" if parameter.default in (None, False, ()) else f"`{parameter.default}`"
    return ", ".join(f"`{name}`" for name in names), default, parameter.help or "–"


def option_table() -> str:
    """List the options of one enqueue."""
    return _words_table("Option", EnqueueOptions.__annotations__, OPTION_TEXTS)


def task_table() -> str:
    """List what `@app.task(...)` takes besides the options that one enqueue has too."""
    own = {
        name: kind for name, kind in TaskOptions.__annotations__.items() if name not in EnqueueOptions.__annotations__
    }
    return _words_table("Keyword", own, TASK_TEXTS)


def _policy_table(kind: type, texts: Mapping[str, str]) -> str:
    return _words_table("Argument", inspect.signature(kind).parameters, texts)


def _words_table(head: str, words: Mapping[str, object], texts: Mapping[str, str]) -> str:
    if set(words) != set(texts):
        raise LookupError(f"texts and code differ in {sorted(set(words) ^ set(texts))}: mend scripts/option_texts.py")
    return table((head, "What it says"), [(f"`{name}`", texts[name]) for name in words])


def _text(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def _alias_texts(module: ModuleType) -> dict[str, str]:
    """Return the strings below the assignments of a module. Python does not keep them."""
    body = ast.parse(inspect.getsource(module)).body
    return {
        ast.unparse(assignment.target): text.value.value
        for assignment, text in pairwise(body)
        if isinstance(assignment, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def acl_rules() -> str:
    """Show the rule of each role, as a command."""
    return "\n\n".join(
        f"### {role.capitalize()}\n\n```text\n{rights.rule(role, f'rota-{role}', '<password>')}\n```"
        for role in rights.ROLES
    )


def optional_rights() -> str:
    """List the commands that Rota can do without."""
    rows = [(f"`+{name.lower()}`", f"{text[0].upper()}{text[1:]}.") for name, text in sorted(rights.OPTIONAL.items())]
    return table(("Without", ""), rows)


TABLES: dict[str, Callable[[], str]] = {
    "events": event_tables,
    "errors": error_table,
    "names": names_table,
    "methods": method_reference,
    "settings": settings_tables,
    "commands": command_tables,
    "json": json_tables,
    "acl": acl_rules,
    "acl-optional": optional_rights,
    "options": option_table,
    "task-keywords": task_table,
    "retry": lambda: _policy_table(Retry, RETRY_TEXTS),
    "unique": lambda: _policy_table(Unique, UNIQUE_TEXTS),
    "debounce": lambda: _policy_table(Debounce, DEBOUNCE_TEXTS),
}
