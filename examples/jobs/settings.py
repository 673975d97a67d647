"""Settings of the ready-made jobs, each an environment variable `JOBS_<NAME>`; lists and mappings are JSON.

The arguments of a task come from the queue, so from everyone who may enqueue or edit a schedule. Therefore arguments
only name things: a folder, a database, a command, a host. The settings of the worker say what stands behind a name,
and what they do not name cannot be reached.
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from rota import ConfigError
from rota.core.duration import Duration
from rota.core.text import did_you_mean

V = TypeVar("V")

PREFIX = "JOBS_"
PLACE = re.compile(r"\{([A-Za-z0-9_-]+)\}")
"""Stands in an argument of a command for a value that the task gives."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class JobRefused(Exception):
    """The arguments of a task do not fit the settings of this worker, so a retry would be refused too."""


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name of letters, digits, '-' and '_'")
    return name


Name = Annotated[str, AfterValidator(_check_name)]


class Command(BaseModel):
    """A command that `command:run` may run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    """The program and its arguments; `{name}` in an argument stands for a value that the task gives."""
    arguments: dict[Name, re.Pattern[str]] = {}
    """For each `{name}` the pattern that the whole value must match."""
    time_limit: Duration = timedelta(minutes=1)
    output_bytes: Annotated[int, Field(ge=0, le=10_000_000)] = 64_000
    folder: Path = Path("/")
    environment: dict[str, str] = {}
    retry: bool = False
    """Whether a run that failed may be repeated."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.argv[0].startswith("/") or PLACE.search(self.argv[0]):
            raise ValueError(f"the program {self.argv[0]!r} has to be an absolute path without {{...}}")
        used = {name for part in self.argv for name in PLACE.findall(part)}
        for name in sorted(used ^ self.arguments.keys()):
            where = "has no pattern in arguments" if name in used else "stands nowhere in argv"
            raise ValueError(f"{{{name}}} {where}")
        return self


class JobSettings(BaseModel):
    """What the jobs of this worker may reach. Without settings it is next to nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: dict[Name, Path] = {}
    databases: dict[Name, str] = {}
    stores: dict[Name, str] = {}
    purge: dict[str, str] = {}
    state: str = "sqlite:///.rota/jobs/state.sqlite3"
    smtp: str = ""
    mail_from: str = "Rota <rota@localhost>"
    alert: tuple[str, ...] = ()
    checks: dict[str, str] = {}
    templates: Path | None = None
    queries: Path | None = None
    http_hosts: tuple[str, ...] = ()
    http_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    http_headers: dict[str, dict[str, str]] = {}
    http_bytes: Annotated[int, Field(gt=0)] = 1_000_000
    http_ca: Path | None = None
    commands: dict[Name, Command] = {}
    image_pixels: Annotated[int, Field(gt=0)] = 50_000_000
    image_bytes: Annotated[int, Field(gt=0)] = 50_000_000

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> "JobSettings":
        """Read the settings from the environment. Raises ConfigError with all that is wrong."""
        given = os.environ if environment is None else environment
        values = {name.removeprefix(PREFIX).lower(): text for name, text in given.items() if name.startswith(PREFIX)}
        for name in values:
            if name not in cls.model_fields:
                known = [PREFIX + field.upper() for field in cls.model_fields]
                raise ConfigError(
                    f"There is no setting {PREFIX}{name.upper()}. {did_you_mean(PREFIX + name.upper(), known)}"
                )
        try:
            return cls(**{name: _value(name, text) for name, text in values.items()})
        except ValidationError as error:
            raise ConfigError(_in_words(error)) from None

    def folder(self, path: str) -> Path:
        """Return the folder that `name` or `name/sub/folder` means. Raises JobRefused if it leads elsewhere."""
        name, _, below = path.partition("/")
        root = _named(self.folders, name, "folder", "JOBS_FOLDERS").resolve()
        inside = (root / below).resolve()
        if not inside.is_relative_to(root):
            raise JobRefused(f"{path!r} leads out of the folder {name!r}.")
        return inside

    def database(self, name: str) -> str:
        """Return the URL of a database."""
        return _named(self.databases, name, "database", "JOBS_DATABASES")

    def store(self, name: str) -> str:
        """Return the URL of an object store."""
        return _named(self.stores, name, "store", "JOBS_STORES")

    def command(self, name: str) -> Command:
        """Return a command that may run."""
        return _named(self.commands, name, "command", "JOBS_COMMANDS")


def plain_file(folder: Path, name: str) -> Path:
    """Return the path of a file directly in a folder. Raises JobRefused if the name means another folder."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise JobRefused(f"{name!r} is not the plain name of a file.")
    return folder / name


def _named(known: Mapping[str, V], name: str, kind: str, setting: str) -> V:
    if name not in known:
        hint = did_you_mean(name, known)
        raise JobRefused(f"This worker has no {kind} {name!r}. {hint} The setting {setting} names what it may use.")
    return known[name]


def _value(name: str, text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{PREFIX}{name.upper()} is not valid JSON: {error}.") from None


def _in_words(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False):
        setting, *inside = (str(part) for part in fault["loc"])
        within = f" at {'.'.join(inside)}" if inside else ""
        lines.append(f"{PREFIX}{setting.upper()}{within}: {fault['msg']}.")
    return "\n".join(lines)
