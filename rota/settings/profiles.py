"""Profiles: named servers, which a command takes by `--profile NAME` or `ROTA_PROFILE`.

A profile is a table of settings, such as `url` and `store`, in your own file of profiles or in
`[tool.rota.profiles]` of `pyproject.toml`. Of a name in both, yours counts, because a project that you check out must
not say where your production is. There is no file that remembers a current profile: a switch in one terminal would move
the commands of all others to another server. `ROTA_PROFILE` belongs to one shell.

Two keys of a profile are not settings: `confirm` asks for the name of the profile before a change, and `colour` marks
the output.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from rota.core.text import did_you_mean, unstopped
from rota.errors import ConfigError

PROFILE_VARIABLE = "ROTA_PROFILE"
FILE_VARIABLE = "ROTA_PROFILES_FILE"
COLOURS = ("red", "yellow", "green", "cyan", "blue", "magenta")


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile: its settings, the file that it is in, and how a command treats it."""

    name: str
    file: Path
    settings: Mapping[str, Any] = field(repr=False)
    confirm: bool = False
    colour: str | None = None


def own_file() -> Path | None:
    """Return the path of the user's file of profiles; None for a user without a home folder."""
    if given := os.environ.get(FILE_VARIABLE):
        return Path(given)
    folder = os.environ.get("XDG_CONFIG_HOME")
    try:
        return (Path(folder) if folder else Path.home() / ".config") / "rota" / "profiles.toml"
    except RuntimeError:  # the user of a container may have no home
        return None


def read_profiles(project_file: Path | None, project: Mapping[str, Any]) -> dict[str, Profile]:
    """Return all profiles by their names: those of the project, then those of the user. Raises ConfigError."""
    found = _profiles(project.get("profiles", {}), project_file) if project_file is not None else {}
    own = own_file()
    return {**found, **(_profiles(read_toml(own), own) if own is not None and own.is_file() else {})}


def chosen_profile(project_file: Path | None, project: Mapping[str, Any]) -> Profile | None:
    """Return the profile that ROTA_PROFILE names; None if it names none. Raises ConfigError if it does not exist."""
    name = os.environ.get(PROFILE_VARIABLE)
    if not name:
        return None
    known = read_profiles(project_file, project)
    if name not in known:
        files = " and ".join(str(file) for file in (own_file(), project_file) if file is not None)
        raise ConfigError(f"There is no profile {name!r}. {did_you_mean(name, known)} Profiles are in {files}.")
    return known[name]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises ConfigError with the path if that fails."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {unstopped(error)}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}); TOML files have to be.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); settings could be in it.") from None


def _profiles(tables: object, file: Path) -> dict[str, Profile]:
    if not isinstance(tables, dict):
        raise ConfigError(f"{file}: [tool.rota.profiles] is not a table; write [tool.rota.profiles.NAME].")
    return {name: _profile(name, table, file) for name, table in cast("dict[str, object]", tables).items()}


def _profile(name: str, table: object, file: Path) -> Profile:
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: the profile {name!r} is not a table; write its settings below the line [{name}].")
    settings = dict(cast("dict[str, Any]", table))
    confirm, colour = settings.pop("confirm", False), settings.pop("colour", None)
    if not isinstance(confirm, bool):
        raise ConfigError(f"{file}: confirm of the profile {name!r} must be true or false.")
    if colour is not None and colour not in COLOURS:
        raise ConfigError(f"{file}: colour of the profile {name!r} must be one of {', '.join(COLOURS)}.")
    return Profile(name, file, settings, confirm, colour)
