"""All settings of a program, collected from their sources.

The command line overrides the profile, which overrides the code, which overrides `ROTA_...` in the environment, which
overrides `[tool.rota]` in `pyproject.toml`, which overrides the defaults. Only the commands read profiles and
`pyproject.toml`. An empty variable counts as not set. If no source gives a `url`, the server of a `rota dev` that runs
in the current folder is used.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from rota.core.canonical import is_mapping
from rota.core.text import did_you_mean, nearest
from rota.errors import ConfigError, OptionError
from rota.settings.origin import (
    CODE,
    ENVIRONMENT,
    ENVIRONMENT_PREFIX,
    LOOKED_UP,
    ORIGINS,
    PROJECT_FILE,
    CommandLine,
    Origin,
    abouts,
    collect,
    shown,
    without_known_variables,
)
from rota.settings.setting_groups import (
    AggregationSettings,
    BrokerSettings,
    CliSettings,
    DatabaseSettings,
    EnqueueSettings,
    HealthSettings,
    LogSettings,
    PoolSettings,
    ResultSettings,
    ScheduleSettings,
    SettingGroup,
    SupervisorSettings,
    SweepSettings,
    WorkerSettings,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Settings(BaseModel):
    """All settings, in groups. Each can be given by its own name here, as `ROTA_<NAME>`, or in `[tool.rota]`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    cli: CliSettings = Field(default_factory=CliSettings)
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    enqueue: EnqueueSettings = Field(default_factory=EnqueueSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    pool: PoolSettings = Field(default_factory=PoolSettings)
    supervisor: SupervisorSettings = Field(default_factory=SupervisorSettings)
    sweep: SweepSettings = Field(default_factory=SweepSettings)
    aggregation: AggregationSettings = Field(default_factory=AggregationSettings)
    results: ResultSettings = Field(default_factory=ResultSettings)
    schedules: ScheduleSettings = Field(default_factory=ScheduleSettings)
    logging: LogSettings = Field(default_factory=LogSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict[str, str])

    def __init__(self, **said: Any) -> None:
        """Collect the settings. The keywords override all other sources."""
        values, origins = collect(said, [*GROUP_OF, *RENAMED])
        if unknown := [name for name in values if name not in GROUP_OF]:
            raise ConfigError(" ".join(_unknown(name, origins[name]) for name in unknown))
        groups: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        for name, value in values.items():
            groups[GROUP_OF[name]][name] = value
        try:
            super().__init__(**groups)
        except ValidationError as error:
            sentences = [_sentence(item, origins) for item in error.errors(include_url=False)]
            # Not chained, because the traceback of pydantic's error shows the values, and one may be a password.
            raise ConfigError(" ".join(sentences)) from None
        self._origins = origins

    if not TYPE_CHECKING:  # else type checkers would allow every name

        def __getattr__(self, name: str) -> Any:
            if group := GROUP_OF.get(name):
                raise AttributeError(f"The setting {name} is in a group: read settings.{group}.{name}.")
            return super().__getattr__(name)

    def updated(self, **words: Any) -> "Settings":
        """Return these settings with some replaced, validated again. The source of the replaced ones is `code`."""
        return self._replaced(words, dict.fromkeys(words, CODE))

    def updated_by(self, line: CommandLine) -> "Settings":
        """Return these settings with those of a command line, validated again. An error names the option."""
        return self._replaced(line.values, line.options)

    def _replaced(self, words: Mapping[str, Any], sources: Mapping[str, str]) -> "Settings":
        kept = {name: source for name, source in self._origins.items() if source not in LOOKED_UP}
        values = self.values()
        said = {name: values[name] for name in kept}
        return Settings(**{**said, **words, ORIGINS: {**kept, **sources}})

    def values(self) -> dict[str, Any]:
        """Return all settings by their names, without the groups."""
        return {name: getattr(getattr(self, group), name) for name, group in GROUP_OF.items()}

    def source_of(self, name: str) -> str:
        """The source of a setting: `code`, `profile`, `environment`, `pyproject.toml`, `default`, or `--set`."""
        return self._origins.get(name, "default")

    def table(self) -> list[Origin]:
        """Every setting with its group, its value, its source and its description. Secrets are masked."""
        about = {name: text for group in GROUPS.values() for name, text in abouts(group).items()}
        return [
            Origin(GROUP_OF[name], name, shown(name, value), self.source_of(name), about.get(name, ""))
            for name, value in self.values().items()
        ]

    def warnings(self) -> list[str]:
        """Return one sentence for each source that is not used as its writer may expect."""
        for_producers = [*GROUPS["broker"].model_fields, *GROUPS["enqueue"].model_fields]
        names = [name for name in for_producers if self.source_of(name) == PROJECT_FILE]
        return [*self._environment_warnings(), *([_only_for_commands(names)] if names else [])]

    def _environment_warnings(self) -> list[str]:
        """Return one sentence for each variable that begins with `ROTA_` and is not a setting."""
        known = [f"{ENVIRONMENT_PREFIX}{name}".upper() for name in GROUP_OF]
        others = (name for name in os.environ if name.upper().startswith(ENVIRONMENT_PREFIX))
        return [
            f"{name} is set, but there is no such setting: it changes nothing. {_advice(name.upper(), known)}"
            for name in sorted(without_known_variables(name for name in others if name.upper() not in known))
        ]


GROUPS: dict[str, type[SettingGroup]] = {
    group: field.annotation
    for group, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, SettingGroup)
}
"""The class of each group."""
GROUP_OF: dict[str, str] = {name: group for group, kind in GROUPS.items() for name in kind.model_fields}
"""The group of each setting."""
RENAMED = {"process_slots": "pool_size", "process_recycle": "pool_max_tasks"}
"""Earlier names of settings. They are refused everywhere, because a worker that ignores one would run otherwise."""


def _only_for_commands(names: Sequence[str]) -> str:
    variables = ", ".join(f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in names)
    said = f"{PROJECT_FILE} gives {', '.join(names)}, but only the commands of rota read that file."
    return f"{said} For programs that enqueue, set {variables}, or give the same to Rota(...)."


def _advice(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"Did you mean {near}?" if near else "`rota config` lists them."


def _unknown(name: str, source: str) -> str:
    if new := RENAMED.get(name):
        wrote, instead = (
            f"{ENVIRONMENT_PREFIX}{each.upper()}" if source == ENVIRONMENT else each for each in (name, new)
        )
        return f"The setting {wrote} (from {source}) is called {instead} now. Rename it."
    if name in GROUPS:
        first = next(iter(GROUPS[name].model_fields))
        return f"{name!r} (from {source}) is a group of settings: give its settings by their names, such as {first!r}."
    return f"There is no setting {name!r} (from {source}). {did_you_mean(name, GROUP_OF)}"


def _sentence(item: "ErrorDetails", origins: Mapping[str, str]) -> str:
    name = str(item["loc"][1])  # after the group
    said = item["msg"].removeprefix("Value error, ").rstrip(".")
    return f"The setting {name} (from {origins.get(name, 'default')}) is wrong: {said}."


def settings_given(given: Settings | Mapping[str, Any] | None, said: Mapping[str, Any]) -> Settings:
    """Return the settings of an app, from both ways to give them. Raises OptionError."""
    if isinstance(given, Settings):
        return given.updated(**said) if said else given
    if given is not None and not (is_mapping(given) and all(isinstance(name, str) for name in given)):
        # Not shown: it may be a URL with a password, or hold one.
        raise OptionError(
            f"Rota(settings=...) is of the type {type(given).__name__}, but must be a Settings or a dict with names of "
            "settings. A URL stands alone: Rota('redis://...')."
        )
    return Settings(**{**(given or {}), **said})
