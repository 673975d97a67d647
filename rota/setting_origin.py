"""Where each setting was found, and how it is shown."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, PyprojectTomlConfigSettingsSource

from rota.broker import dev_server
from rota.broker.url import masked
from rota.duration import display
from rota.errors import ConfigError
from rota.queue_weights import write_queues
from rota.sentences import unstopped

ORIGINS = "origins of settings"
"""The entry under which the origins pass through pydantic. No setting can have this name."""

CODE = "code"
ENVIRONMENT = "environment"
PROJECT_FILE = "pyproject.toml"
DEV_SERVER = "rota dev"


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The settings given on a command line, and for each of them the option that gave it (`--queues`, `--set`)."""

    values: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    options: dict[str, str] = field(default_factory=dict[str, str])

    def with_setting(self, name: str, value: str | int, option: str) -> "CommandLine":
        """Return this command line with one setting more."""
        return CommandLine({**self.values, name: value}, {**self.options, name: option})


class Origin(NamedTuple):
    """One setting as `rota config` prints it."""

    name: str
    value: str
    source: str
    about: str


class Origins(PydanticBaseSettingsSource):
    """Tells which source each setting was found in, the strongest first."""

    def __init__(self, settings_cls: type[BaseSettings], sources: Mapping[str, PydanticBaseSettingsSource]) -> None:
        super().__init__(settings_cls)
        self._sources = sources

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Say nothing about single fields."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return one entry that the model takes out again."""
        found: dict[str, str] = {}
        for label, source in self._sources.items():
            for name in source():
                found.setdefault(name, label)
        found.pop(ORIGINS, None)  # of settings that are made from others, which know their origins
        return {ORIGINS: found}


class ProjectFile(PyprojectTomlConfigSettingsSource):
    """The table `[tool.rota]` of pyproject.toml. A file that cannot be read is one sentence that names it."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        try:
            super().__init__(settings_cls)
        except FileNotFoundError:
            raise ConfigError("The current folder does not exist any more; change to one that does.") from None

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        try:
            data = tomllib.loads(Path(file_path).read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file_path} is not valid TOML: {unstopped(error)}.") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file_path} is not UTF-8 (byte {error.start}); TOML files have to be.") from None
        except OSError as error:
            raise ConfigError(f"{file_path} cannot be read ({error.strerror}); settings could be in it.") from None
        tool: Any = data.get("tool", {})
        if not isinstance(tool, dict) or not isinstance(cast("dict[str, Any]", tool).get("rota", {}), dict):
            raise ConfigError(f"{file_path}: [tool.rota] is not a table; write the settings below that line.")
        return data


class DevServer(PydanticBaseSettingsSource):
    """The server of `rota dev` in the current folder. It is looked for only if no other source names a URL."""

    _found: str | None = None
    _looked = False

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Say nothing about single fields."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the URL, if a server runs there."""
        if not self._looked:  # `Origins` asks a second time
            self._looked = True
            self._found = None if "url" in self.current_state else dev_server.found()
        return {} if self._found is None else {"url": self._found}


def shown(name: str, value: object) -> str:
    """Write a value as people write it. Passwords are masked."""
    if isinstance(value, timedelta):
        return display(value)
    if name == "url":
        return masked(str(value))
    if isinstance(value, dict):
        return write_queues(cast("dict[str, int]", value))
    return "" if value is None else str(value)
