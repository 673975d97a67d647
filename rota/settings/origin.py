"""Collects the settings from their sources, records the source of each, and formats values for display.

`collect` is called each time settings are made. The order of the sources, the strongest first: the command line, a
profile, the code, the environment, `pyproject.toml`, the server of `rota dev`. Only commands read profiles and
`pyproject.toml` (`read_project_file`). The values are validated by the caller, `rota.settings.settings`.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

from rota.core.duration import display
from rota.errors import ConfigError
from rota.settings.profiles import FILE_VARIABLE, PROFILE_VARIABLE, Profile, chosen_profile, read_profiles, read_toml
from rota.settings.values import write_queues

ENVIRONMENT_PREFIX = "ROTA_"
ORIGINS = "origins of settings"
"""The key of the given settings that maps a name to its source if that is not code. No setting can have this name."""

CODE = "code"
ENVIRONMENT = "environment"
PROFILE = "profile"
PROJECT_FILE = "pyproject.toml"
DEV_SERVER = "rota dev"
LOOKED_UP = (PROFILE, ENVIRONMENT, PROJECT_FILE, DEV_SERVER)
"""Sources that are read again whenever settings are made."""
DEV_SERVER_FILE = ".rota/server/url"
"""Where `rota.broker.dev_server` finds the server of the current folder. That module is loaded only if this exists."""
_FOLDERS_ABOVE = 3

_is_command = False
"""Whether this process runs a command of `rota`, or works for one."""
_tell: Callable[[], object] | None = None
"""Says that the server of `rota dev` is used, where the log does not."""
LANGUAGE_VARIABLE = "ROTA_LANG"
CONFIRM_VARIABLE = "ROTA_CONFIRM"
_variables = {PROFILE_VARIABLE, FILE_VARIABLE, LANGUAGE_VARIABLE, CONFIRM_VARIABLE, "ROTA_TASK_ID"}
"""Environment variables of all commands that begin with `ROTA_` and are not settings."""


def _no_variables() -> Iterable[str]:
    return ()


_further_variables = _no_variables


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The settings given on a command line, and for each of them the option that gave it (`--queues`, `--set`)."""

    values: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    options: dict[str, str] = field(default_factory=dict[str, str])

    def with_setting(self, name: str, value: str | int, option: str) -> "CommandLine":
        """Return a copy of this command line with one more setting."""
        return CommandLine({**self.values, name: value}, {**self.options, name: option})


class Origin(NamedTuple):
    """One setting as `rota config` prints it."""

    group: str
    name: str
    value: str
    source: str
    about: str


def collect(said: Mapping[str, Any], names: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings from all sources, and the source of each one.

    `said` holds the settings from the command line or the code. They override the environment, which overrides
    `pyproject.toml`. A profile, which a command was given by name, overrides the code, but not the command line. The
    server of `rota dev` is looked for only if no source names a URL.
    """
    values = {name: value for name, value in said.items() if name != ORIGINS}
    origins = {**dict.fromkeys(values, CODE), **said.get(ORIGINS, {})}
    project: dict[str, Any] = {}
    if _is_command:
        file = _project_file()
        table = _project(file)
        if (profile := chosen_profile(file, table)) is not None:
            new = {name: value for name, value in profile.settings.items() if origins.get(name, CODE) == CODE}
            values |= new
            origins |= dict.fromkeys(new, PROFILE)
        project = {name: value for name, value in table.items() if name != "profiles"}
    for label, source in ((ENVIRONMENT, _environment(names)), (PROJECT_FILE, project)):
        new = {name: value for name, value in source.items() if name not in values}
        values |= new
        origins |= dict.fromkeys(new, label)
    if "url" not in values and (url := _dev_server()) is not None:
        values["url"], origins["url"] = url, DEV_SERVER
    return values, origins


def read_project_file(tell: Callable[[], object] | None = None) -> None:
    """Read `pyproject.toml` for all settings that this process makes from now on.

    `tell` is called once if they use the server of `rota dev`, in place of a line in the log.

    Only the commands call this, before they import an app. A program that imports an app is started in any folder, and
    must not take the server from a file that happens to be there.
    """
    global _is_command, _tell
    _is_command, _tell = True, tell


def current_profile() -> Profile | None:
    """Return the profile that this command was given; None without one, and in programs that are not a command."""
    if not _is_command or not os.environ.get(PROFILE_VARIABLE):
        return None
    file = _project_file()
    return chosen_profile(file, _project(file))


def all_profiles() -> dict[str, Profile]:
    """Return all profiles that a command of this folder can be given, by their names."""
    file = _project_file()
    return read_profiles(file, _project(file))


def add_variables(names: Callable[[], Iterable[str]]) -> None:
    """Tell where the names of further variables that begin with `ROTA_` are, so that no warning calls them unknown.

    They are asked for when there is a variable that nothing else knows, because the answer imports all commands.
    """
    global _further_variables
    _further_variables = names


def is_of_all_commands(name: str) -> bool:
    """Return whether all commands read a variable that is not a setting."""
    return name in _variables


def without_known_variables(names: Iterable[str]) -> list[str]:
    """Return the environment variables that no command of `rota` reads."""
    unknown = [name for name in names if name.upper() not in _variables]
    further = set(_further_variables()) if unknown else set[str]()
    return [name for name in unknown if name.upper() not in further]


def reads_project_file() -> bool:
    """Return whether this process reads `pyproject.toml`."""
    return _is_command


def _environment(names: Iterable[str]) -> dict[str, str]:
    given = {name.upper(): value for name, value in os.environ.items() if value}  # an empty variable is not set
    return {name: given[key] for name in names if (key := f"{ENVIRONMENT_PREFIX}{name}".upper()) in given}


def _project_file() -> Path | None:
    """Return the `pyproject.toml` of the current folder, or of the nearest of the three folders above it."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise ConfigError("The current folder does not exist any more; change to one that does.") from None
    files = (folder / PROJECT_FILE for folder in (here, *here.parents[:_FOLDERS_ABOVE]))
    return next((file for file in files if file.is_file()), None)


def _project(path: Path | None) -> dict[str, Any]:
    """Read the table `[tool.rota]`. Raises ConfigError with the path if the file cannot be read."""
    if path is None:
        return {}
    data = read_toml(path)
    tool = data.get("tool", {})
    table = cast("dict[str, Any]", tool).get("rota", {}) if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: [tool.rota] is not a table; write the settings below that line.")
    return cast("dict[str, Any]", table)


def _dev_server() -> str | None:
    if not os.path.exists(DEV_SERVER_FILE):
        return None
    from rota.broker import dev_server

    return dev_server.found(_tell)


def abouts(group: type) -> dict[str, str]:
    """Return the description of each setting of a group: the text below its line in the source."""
    import ast  # imported late, because only `rota config` and the docs show the descriptions
    import inspect
    from itertools import pairwise
    from textwrap import dedent

    try:
        source = inspect.getsource(group)
    except (OSError, TypeError):
        return {}  # the package came without its source
    [model] = cast("list[ast.ClassDef]", ast.parse(dedent(source)).body)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(model.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def shown(name: str, value: object) -> str:
    """Format a value the way users write it. Passwords are masked."""
    if isinstance(value, timedelta):
        return display(value)
    if name == "url":
        from rota.broker.url import masked

        return masked(str(value))
    if name == "store" and value is not None:
        return masked_store(str(value))
    if isinstance(value, dict):
        return write_queues(cast("dict[str, int]", value))
    return "" if value is None else str(value)


def masked_store(url: str) -> str:
    """Return the URL of a store without user name, password and options."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    _, at, location = rest.rpartition("@")
    return f"{scheme}://{'***@' if at else ''}{location.partition('?')[0]}"
