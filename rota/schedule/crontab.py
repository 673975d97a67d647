"""Reads a crontab, and makes a schedule of each of its lines.

The lines of a crontab are shell commands, and a schedule must not carry one, because every user who may edit schedules
could then run anything on the workers. So each line becomes a schedule of the task type `command:run` (the ready-made
handler of `examples/jobs`), whose payload has only the name of a command. The commands themselves are returned beside
them, for the settings of that handler.

The specs are kept as they are; `CRON_TZ` becomes the time zone. A line without a counterpart is reported, and nothing
is guessed: `@reboot`, `%` (which gives a command its standard input), and variables that change how the command runs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rota.core.text import counted
from rota.errors import ScheduleInvalid
from rota.schedule.definition import ScheduleDefinition

COMMAND_TYPE = "command:run"
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)")
_UNESCAPED_PERCENT = re.compile(r"(?<!\\)%")
_FIELDS = 5
_HARMLESS = ("MAILTO", "MAILFROM", "SHELL", "RANDOM_DELAY", "LOGNAME")
_SLUG = re.compile(r"[^a-z0-9]+")
LONGEST_SLUG = 40


@dataclass(frozen=True, slots=True)
class CrontabImport:
    """The schedules of a crontab, their commands by name, and notes (source line and text) on what was left out."""

    definitions: tuple[ScheduleDefinition, ...]
    commands: dict[str, str]
    notes: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _CrontabReading:
    source: str
    system: bool
    task_type: str
    timezone: str
    definitions: list[ScheduleDefinition] = field(default_factory=list[ScheduleDefinition])
    notes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    commands: dict[str, str] = field(default_factory=dict[str, str])
    comment: str = ""


def read_crontab(
    text: str, source: str, *, timezone: str = "UTC", task_type: str = COMMAND_TYPE, system: bool = False
) -> CrontabImport:
    """Read a crontab. `system` says that its lines name a user before the command, as those of /etc/crontab do.

    `timezone` applies until a line sets `CRON_TZ` or `TZ`. Raises ScheduleInvalid with each line that cannot be read.
    """
    reading = _CrontabReading(source, system, task_type, timezone)
    for number, line in enumerate(text.splitlines(), 1):
        _read_line(reading, line.strip(), f"{source}:{number}")
    if reading.problems:
        lines = "".join(f"\n- {source_line}: {what}" for source_line, what in reading.problems)
        raise ScheduleInvalid(
            f"{counted(len(reading.problems), 'line')} of the crontab cannot be read, so nothing is imported:{lines}",
            problems=reading.problems,
        )
    return CrontabImport(tuple(reading.definitions), reading.commands, tuple(reading.notes))


def _read_line(reading: _CrontabReading, line: str, source_line: str) -> None:
    if not line:
        reading.comment = ""
        return
    if line.startswith("#"):
        reading.comment = line.lstrip("# ").strip()
        return
    variable = _VARIABLE.match(line)
    if variable is not None:
        _set_variable(reading, variable["name"], variable["value"].strip().strip("\"'"), source_line)
        return
    try:
        spec, user, command = _parts(line, system=reading.system)
        reading.definitions.append(_definition(reading, spec, user, command, source_line))
    except ScheduleInvalid as error:
        reading.problems += [(source_line, what) for _, what in error.problems]
    except ValueError as error:
        reading.problems.append((source_line, str(error)))
    reading.comment = ""


def _set_variable(reading: _CrontabReading, name: str, value: str, source_line: str) -> None:
    if name in ("CRON_TZ", "TZ"):
        reading.timezone = value
    elif name in _HARMLESS:
        reading.notes.append(
            (source_line, f"{name} is not imported: alerts, shells and delays are settings of their own.")
        )
    else:
        reading.notes.append((source_line, f"{name}={value} is not imported: set it where the command runs."))


def _parts(line: str, *, system: bool) -> tuple[str, str, str]:
    """Return the spec, the user (empty without one) and the command of a line."""
    count = 1 if line.startswith("@") else _FIELDS
    wanted = count + (2 if system else 1)
    words = line.split(maxsplit=wanted - 1)
    if len(words) < wanted:
        form = "a spec, a user and a command" if system else "a spec and a command"
        raise ValueError(f"This line needs {form}, such as: 30 2 * * * {'root ' if system else ''}/usr/bin/backup")
    spec = " ".join(words[:count])
    if spec == "@reboot":
        raise ValueError("@reboot has no counterpart, because a schedule belongs to no machine: delete the line.")
    return spec, words[count] if system else "", words[-1]


def _definition(reading: _CrontabReading, spec: str, user: str, command: str, source_line: str) -> ScheduleDefinition:
    if _UNESCAPED_PERCENT.search(command):
        reading.notes.append(
            (source_line, "The text after % was the standard input of the command: it is not given to it.")
        )
        command = _UNESCAPED_PERCENT.split(command, maxsplit=1)[0].rstrip()
    command = command.replace("\\%", "%")
    if not command:
        raise ValueError("This line has no command before the %: write one, such as: cat%text for its standard input")
    if user:
        reading.notes.append((source_line, f"The user {user} is not imported: the worker's user runs the command."))
    name = next(each for each in _numbered(_slug(command)) if each not in reading.commands)
    reading.commands[name] = command
    return ScheduleDefinition.read(
        {
            "name": name,
            "task_type": reading.task_type,
            "payload": {"command": name},
            "specs": [spec],
            "timezone": reading.timezone,
            "remark": reading.comment or None,
            "tags": ["crontab"],
        }
    )


def _slug(command: str) -> str:
    """Return a short name made of a command: its program and its first words."""
    program, *rest = command.split()
    words = " ".join([program.rpartition("/")[2], *rest]).lower()
    return _SLUG.sub("-", words).strip("-")[:LONGEST_SLUG].strip("-") or "command"


def _numbered(base: str) -> Iterator[str]:
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1
