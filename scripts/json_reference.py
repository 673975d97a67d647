"""The reference of `--json`, made from the dataclasses that the commands print.

`SHAPES` says what each command prints: a dataclass, a list of one, or a table of keys where the command puts the value
together itself. A test finds a command with `--json` that is not named there.
"""

import ast
import dataclasses
import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from itertools import pairwise
from textwrap import dedent
from typing import Any, NamedTuple, cast

from rota.cli.queue_command import InspectedQueue
from rota.cli.stats_command import Stats
from rota.cli.task.listing import Listing
from rota.cli.task.one_task import InspectedTask
from rota.inspect import (
    BrokerSnapshot,
    GroupSnapshot,
    QueueSnapshot,
    SchedulerEntrySnapshot,
    ServerSnapshot,
)
from rota.schedule.run import ScheduleRun
from rota.settings.origin import Origin


class ListOf(NamedTuple):
    """A list of objects of one kind."""

    kind: type


Shape = type | ListOf | Mapping[str, str]

SCHEDULE: Mapping[str, str] = {
    "id, version": "the schedule, and its version",
    "source": "whether it is from the database, from the code or from a provider",
    "created_at, created_by, updated_at, updated_by, deleted_at": "who made, changed and deleted it, and when",
    "definition": "its fields, as in a file of schedules",
}
OVERVIEW: Mapping[str, str] = {
    **SCHEDULE,
    "state, why_paused": "its state, and why it is paused",
    "next_at": "its next planned time",
    "progress": "what is known of its latest runs",
}
RUN: Mapping[str, str] = {
    "run": "the run, as `rota schedule runs` prints it",
    "exit_code": "the exit code of the command",
    "lines": "the results or the error, one text for each",
}
CALENDAR: Mapping[str, str] = {
    "version, updated_at, updated_by": "its version, and who saved it when",
    "warning": "what to do if its dates end soon, or null",
    "calendar": "its name and its days, as in a file of calendars",
}
BULK: Mapping[str, str] = {
    "act": "what was done",
    "total, seen": "how many tasks there were (null if that is not known), and how many were tried",
    "done, failed": "how many were changed or were as wanted already, and how many were left as they were",
    "same": "of an edit or freed locks: how many of those done needed no change",
    "reasons": "for each kind of error, how many tasks had it",
    "failures": "the first 100 of them: `queue`, `id`, `kind` and `error`",
    "stopped, ended, took": "whether it was stopped or came to its end, and how long it took",
    "deletion": "the name for `rota task undo --deletion`; empty if nothing was kept",
    "unkept": "how many of the deleted tasks are not kept any more, because other deletions needed the room",
    "unread": "with --where: lists that could not be read to the end",
}
SHAPES: dict[str, Shape] = {
    "task list": Listing,
    "task inspect": InspectedTask,
    "task search": {
        "hits": "a list of objects: `queue`, `id`, `state`, `at`, `type`, `payload`, `error`, `failed_at`, `retried`, "
        "`max_retry` and `group` of a task; --json-lines prints each of them as a line of its own",
        "scanned, total": "how many tasks were looked at, and how many there are",
        "cursor": "the value for --cursor that goes on, or null at the end",
        "unread": "lists that could not be read to the end",
    },
    "task errors": {
        "groups": "a list of objects: `fingerprint`, `type`, `exception`, `place`, `line`, `text`, `tasks`, `queues`, "
        "`states`, `first_at`, `last_at`, `trend`, and `sample`, which is as a hit of a search",
        "tasks, ungrouped": "how many failed tasks were found, and how many of them are in no group",
        "scanned, total, unread": "as of a search",
    },
    "task why": {
        "queue, id, state, type": "the task",
        "causes": "a list of objects: `reason` (a fixed word), `facts` and `words` (in English)",
    },
    **{
        f"task {verb}": BULK
        for verb in ("run", "archive", "delete", "cancel", "reschedule", "move", "requeue", "edit", "unlock")
    },
    "task undo": {
        "done, failed": "how many tasks were put back, and how many were not",
        "failures": "the first 100 of these: `kind` and `error`",
        "id, deletion, queue, task_id, type, state": "with --list, a list of objects: a deleted task, and its deletion",
        "deleted_at, deleted_by": "with --list: when it was deleted and by whom",
        "score, lock_ms, fields": "with --list: what it consisted of, as Redis had it",
    },
    "stats": Stats,
    "task log": {"line": "a line of the log; each is an object of its own on a line of its own, also with --follow"},
    "queue list": ListOf(QueueSnapshot),
    "queue inspect": ListOf(InspectedQueue),
    "worker list": ListOf(ServerSnapshot),
    "queue history": {"(the name of each queue)": "a list of days: `day`, `processed`, `failed`, `error_rate`"},
    "group list": ListOf(GroupSnapshot),
    "cron list": ListOf(SchedulerEntrySnapshot),
    "cron history": {"(the ID of each entry)": "a list of enqueues: `task_id` and `enqueued_at`"},
    "server": BrokerSnapshot,
    "metrics": {
        "queues, step_seconds": "the queues, and the length of a point",
        "total": "the sums: `at`, `processed`, `succeeded`, `failed`, `retried`, `cancelled`, `crashed`, `elsewhere`, "
        "`elsewhere_failed`, `wait_seconds` and `run_seconds` (with `p50`, `p95`, `p99`), `sizes`, `oldest_seconds`; "
        "null for what is not known",
        "types": "the same for each task type, by its name",
        "points": "the same for each step, the earliest first",
    },
    "types": {
        "(each) type, queues": "a task type, and the queues in which it is served",
        "(each) versions": "how servers describe it",
    },
    "profiles": {
        "(each) name, file": "a profile, and the file that it is in",
        "(each) current": "whether ROTA_PROFILE names it",
        "(each) url": "its server, without the password",
        "(each) settings": "the names of its settings",
        "(each) confirm, colour": "how commands treat it",
    },
    "config": ListOf(Origin),
    "doctor": {
        "healthy": "whether nothing is wrong",
        "queues, servers, tasks": "how many were examined",
        "findings": "a list of objects with `code`, `severity`, `what`, `cause`, `fix` and `link`",
        "discrepancies": "for each queue, how many tasks have which discrepancy",
        "repaired": "with --repair: the same for what was repaired; if the repair was cut off, the other keys are as "
        "before it",
    },
    "schedule list": {f"(each) {key}": text for key, text in OVERVIEW.items()},
    "schedule show": {**OVERVIEW, "next_times, runs, statistics": "its next times, its latest runs and their numbers"},
    "schedule add": SCHEDULE,
    "schedule edit": SCHEDULE,
    "schedule versions": {
        "(each) version, act, at, by": "a version: what was done, when and by whom",
        "(each) changed": "the names of the changed fields",
        "(each) definition": "the fields of this version",
    },
    "schedule runs": ListOf(ScheduleRun),
    "schedule run-show": ScheduleRun,
    "schedule run": RUN,
    "schedule again": RUN,
    "schedule skip": {"skipped": "the planned times that are left out"},
    "schedule backfill": {
        "succeeded, failed, skipped, cancelled": "how many runs ended so; an outcome that no run had is left out",
        "runs, done, times": "with --dry-run: how many runs are left and were done before, and their planned times",
    },
    "schedule preview": {"(each) at, fires, note": "a time, whether it fires, and a note at a clock change"},
    "schedule simulate": {"(each) at, schedule, note": "a fire: its time, the schedule, a note at a clock change"},
    "schedule forecast": {
        "days": "how many fires each day has",
        "crowded": "a list of objects with `minute` and `schedules`, the number of schedules that fire in it",
        "proposals": "specs that would spread them",
    },
    "schedule check": {
        "valid": "whether nothing is wrong",
        "schedules": "the names of the schedules, if nothing is wrong",
        "problems": "otherwise a list of objects with `place` and `text`",
    },
    "schedule apply": {
        "create": "the definitions of new schedules",
        "update": "a list of objects with `name` and `fields`",
        "delete, unchanged": "names of schedules",
    },
    "schedule export": {"schedules": "the definitions, as a file of schedules in JSON has them"},
    "schedule import-crontab": {
        "schedules": "the definitions",
        "commands": "the value of JOBS_COMMANDS",
        "notes": "what could not be carried over as it was",
    },
    "calendar list": {f"(each) {key}": text for key, text in {**CALENDAR, "schedules": "those that use it"}.items()},
    "calendar show": {**CALENDAR, "day, off, reason": "with --day, instead: whether the day is off, and why"},
    "calendar import": CALENDAR,
    "store status": {
        "store": "the database, without the password",
        "revision, needs": "the revision of its tables, and the one that this version of Rota needs",
        "tables": "`rows` and `bytes` of each table",
    },
}
"""What each command prints with `--json`."""


def json_tables() -> str:
    """Describe what each command prints with `--json`, and the objects in it."""
    seen: dict[str, type] = {}
    parts = [f"## rota {name}\n\n{_described(shape, seen)}" for name, shape in SHAPES.items()]
    done: set[str] = set()
    objects: list[str] = []
    while left := [kind for name, kind in seen.items() if name not in done]:
        for kind in left:
            done.add(kind.__name__)
            objects.append(f"### {kind.__name__}\n\n{_first_line(kind)}\n\n{_fields(kind, seen)}")
    return "\n\n".join([*parts, "## Objects", *sorted(objects)])


def _described(shape: Shape, seen: dict[str, type]) -> str:
    if isinstance(shape, ListOf):
        return f"A list of {_name(shape.kind, seen)}."
    if isinstance(shape, type):
        return f"{_name(shape, seen)}."
    each = all(key.startswith("(each) ") for key in shape)
    rows = [(key.removeprefix("(each) "), text) for key, text in shape.items()]
    lines = ["| Key | What it is |", "| --- | --- |"]
    lines += [f"| {', '.join(f'`{word}`' for word in key.split(', '))} | {text} |" for key, text in rows]
    return "\n".join([*(["A list of objects:", ""] if each else []), *lines])


def _fields(kind: Any, seen: dict[str, type]) -> str:
    hints = typing.get_type_hints(kind)
    about = _abouts(kind)
    names = [each.name for each in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else kind._fields
    rows = [f"| `{name}` | {_type(hints[name], seen)} | {about.get(name, '–')} |" for name in names]
    for name in getattr(kind, "json_properties", ()):
        method = getattr(kind, name).fget
        told = " ".join((inspect.getdoc(method) or "").split())
        rows.append(f"| `{name}` | {_type(typing.get_type_hints(method)['return'], seen)} | {told} |")
    return "\n".join(["| Key | Type | What it is |", "| --- | --- | --- |", *rows])


_PLAIN: Mapping[Any, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    bytes: "text, or `base64`",
    datetime: "time",
    date: "day",
    timedelta: "seconds",
    types.NoneType: "null",
    Any: "any",
    object: "any",
}


def _type(hint: Any, seen: dict[str, type]) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(each, seen) for each in arguments))
    if origin is typing.Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin is typing.Annotated:
        return _type(arguments[0], seen)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"object of {_type(arguments[1], seen)}"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return f"list of {_type(arguments[0], seen)}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(f"`{each.value}`" for each in hint)
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or hasattr(hint, "_fields")):
        return _name(hint, seen)
    return "any"


def _name(kind: type, seen: dict[str, type]) -> str:
    seen.setdefault(kind.__name__, kind)
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")


def _abouts(kind: type) -> dict[str, str]:
    """Return the text below each field of a class and its bases, from the source."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("rota"):
            [node] = cast("list[ast.ClassDef]", ast.parse(dedent(inspect.getsource(base))).body)
            for field, text in pairwise(node.body):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as about)):
                        found[name] = " ".join(about.split())
    return found
