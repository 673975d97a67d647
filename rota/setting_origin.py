"""Where each setting was found, and how it is shown."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple, cast

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from rota.duration import display

ORIGINS = "origins of settings"
"""The entry under which the origins pass through pydantic. No setting can have this name."""


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
        return {ORIGINS: found}


def shown(name: str, value: object) -> str:
    """Write a value as people write it. Of a URL with a login only the host is told."""
    if isinstance(value, timedelta):
        return display(value)
    if name == "url":
        scheme, _, rest = str(value).partition("://")
        login, at, host = rest.rpartition("@")
        return f"{scheme}://{'***@' if login or at else ''}{host}"
    if isinstance(value, dict):
        return ",".join(f"{key}={weight}" for key, weight in cast("dict[str, int]", value).items())
    return "" if value is None else str(value)
