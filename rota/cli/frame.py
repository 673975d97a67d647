"""The parts that all commands share: the order of the help, profiles, variables, completion and the language.

A command is imported when it is used (`lazy_group`), and then gets what all commands share:

1. The commands have their order and their panels in `rota --help`.
2. Each command gets `--profile`.
3. Each option gets an environment variable: `--page` of `rota task list` is `ROTA_TASK_LIST_PAGE`.
4. Queues and task types are completed from the server.
5. Help texts get the language of the locale.
"""

import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, ClassVar

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup, TyperOption

from rota.cli import unknown_variables
from rota.cli.asynq_words import rota_words
from rota.cli.completion import complete, finder_of
from rota.cli.language import break_lines_of_chinese, language, translated, translated_help, translated_title
from rota.cli.lazy_group import Command, LazyGroup, Source
from rota.settings.origin import ENVIRONMENT_PREFIX, add_variables, all_profiles, current_profile
from rota.settings.profiles import PROFILE_VARIABLE

PANELS: dict[str, dict[str, Source]] = {
    "Start": {
        "dev": Source("dev", "command"),
        "enqueue": Source("enqueue_command", "command"),
        "worker": Source("worker_group", "program"),
        "scheduler": Source("scheduler_command", "command"),
    },
    "See and steer": {
        "stats": Source("stats_command", "command"),
        "queue": Source("queue_command", "program"),
        "task": Source("task", "program"),
        "group": Source("group_command", "program"),
        "types": Source("task_types", "command"),
        "metrics": Source("metrics_command", "command"),
    },
    "Schedules": {
        "schedule": Source("schedule", "program"),
        "calendar": Source("calendar_command", "program"),
        "cron": Source("cron_command", "program"),
        "store": Source("store_command", "program"),
    },
    "When something is wrong": {
        "doctor": Source("doctor", "command"),
        "health": Source("health_command", "command"),
        "server": Source("server_command", "command"),
    },
    "This program": {
        "profiles": Source("profiles_command", "command"),
        "config": Source("config", "command"),
        "shell": Source("shell_command", "command"),
        "version": Source("version", "command"),
    },
}
"""The commands in the order that teaches them, in the panels of `rota --help`."""
WITHOUT_VARIABLE = ("--help", "--version", "--profile", "--install-completion", "--show-completion")


class Frame(LazyGroup):
    """The group of all commands of `rota`."""

    sources: ClassVar = {name: source for panel in PANELS.values() for name, source in panel.items()}

    def __init__(self, **attributes: Any) -> None:
        """Prepare what commands get when they are imported."""
        super().__init__(**attributes)
        self.commands.dress = self._enter
        _dress(self, ())
        add_variables(self._variables)
        break_lines_of_chinese()

    def _enter(self, name: str, command: Command) -> None:
        """Give a command of this group what all commands share, and later those below it."""
        panel = next(title for title, names in PANELS.items() if name in names)
        command.rich_help_panel = translated_title(panel)
        _dress(command, (name,))
        if isinstance(command, LazyGroup):
            command.commands.dress = partial(_dress_below, name)
        elif isinstance(command, TyperGroup):
            for path, each in tree(command, (name,)):
                if len(path) > 1:
                    _dress(each, path)

    def _variables(self) -> Iterator[str]:
        """Yield the environment variables of all options, which imports all commands."""
        for path, command in tree(self):
            for parameter in command.params if path else ():
                if isinstance(parameter, TyperOption) and isinstance(parameter.envvar, str):
                    yield parameter.envvar

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the words, in which those of Asynq's tool are replaced."""
        with _translated_errors():
            words, variables = rota_words(args, self._flags)
            before = {name: os.environ.get(name) for name in variables}
            os.environ.update(variables)
            made = super().make_context(info_name, words, parent, **extra)
            for name, value in before.items():
                made.call_on_close(partial(_restore, name, value))
            return made

    def _flags(self, path: Sequence[str]) -> set[str] | None:
        """Return the flags of a command; None if there is no such command."""
        found: Any = self
        for word in path:
            found = found.commands.get(word) if isinstance(found, TyperGroup) else None
        if not isinstance(found, TyperCommand):
            return None
        return {flag for each in found.params for flag in (*each.opts, *each.secondary_opts)}

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the words name."""
        with _translated_errors():
            return super().invoke(ctx)


@contextmanager
def _translated_errors() -> Generator[None]:
    """Give errors of Typer, which has no translations, the language of the locale."""
    try:
        yield
    except (typer.Abort, EOFError):  # Typer makes an Abort of the end of the input
        _style_helps()
        raise
    except Exception as error:
        if (text := getattr(error, "format_message", None)) is not None:
            _style_helps()
            if language() != "en":
                shown = translated(text())
                vars(error)["format_message"] = lambda: shown
        raise


def tree(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Yield a group and all commands below it, each with its words after `rota`."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from tree(command, (*path, name))
        elif isinstance(command, TyperCommand):
            yield (*path, name), command


def _dress_below(group: str, name: str, command: Command) -> None:
    _dress(command, (group, name))


def _dress(command: Command, path: tuple[str, ...]) -> None:
    """Give a command what all commands share."""
    has_variables = False
    if path != ("version",) and (not path or isinstance(command, TyperCommand)):
        command.params.append(_profile_option())
    for parameter in command.params:
        if (finder := finder_of(path, parameter.name)) is not None and isinstance(command, TyperCommand):
            complete(parameter, finder)
        if isinstance(parameter, TyperOption) and (name := _variable(parameter, path)) is not None:
            parameter.envvar, parameter.show_envvar = name, False
            has_variables = True
    _style_help(command)
    _translate_parameters(command)
    _translate_usage(command)
    command.help = translated_help(command.help) if command.help else command.help
    if has_variables:
        command.epilog = translated(f"Each option is an environment variable too: --x is {_prefix(path)}X.")


def _style_help(command: Command) -> None:
    original = command.format_help

    def styled(ctx: Any, formatter: Any) -> None:
        _style_helps()
        original(ctx, formatter)

    vars(command)["format_help"] = styled


def _style_helps() -> None:
    from rota.cli import help_style

    help_style.apply()


def _translate_parameters(command: Command) -> None:
    """Put the help of the parameters into the language of the locale, also of those that Typer adds for a help."""
    original = command.get_params

    def shown(ctx: Any) -> list[Any]:
        found: list[Any] = original(ctx)
        for each in found:
            text: str | None = getattr(each, "help", None)
            if text:
                each.help = translated_help(text)
        return found

    if language() != "en":
        vars(command)["get_params"] = shown


def _translate_usage(command: Command) -> None:
    """Put the first word of the usage line, which Typer writes, into the language of the locale."""
    original = command.get_usage

    def shown(ctx: Any) -> str:
        return original(ctx).replace("Usage: ", translated_title("Usage: "), 1)

    if language() != "en":
        vars(command)["get_usage"] = shown


def _prefix(path: tuple[str, ...]) -> str:
    return f"{ENVIRONMENT_PREFIX}{'_'.join(path)}_".upper().replace("-", "_")


def _variable(option: TyperOption, path: tuple[str, ...]) -> str | None:
    """Return the environment variable of an option; None if it has none."""
    name = next((each for each in option.opts if each.startswith("--")), None)
    if name is None or option.hidden or option.envvar or name in WITHOUT_VARIABLE or not path:
        return None
    return _prefix(path) + name.removeprefix("--").upper().replace("-", "_")


def _use_profile(ctx: typer.Context, value: str | None) -> None:
    """Choose the profile until the command ends, and show which one it is."""
    if ctx.resilient_parsing:  # a completion, whose process ends with it
        os.environ.update({} if value is None else {PROFILE_VARIABLE: value})
        return
    if value is not None:
        before = os.environ.get(PROFILE_VARIABLE)
        os.environ[PROFILE_VARIABLE] = value  # so that the processes of a worker use it too
        ctx.call_on_close(lambda: _restore(PROFILE_VARIABLE, before))
    if not isinstance(ctx.command, TyperGroup):
        path = " ".join(ctx.command_path.split()[1:])
        unknown_variables.warn(ctx.find_root().command, path, unknown_variables.variables_of(ctx.command))
    if not isinstance(ctx.command, TyperGroup) and sys.stderr.isatty() and (profile := current_profile()) is not None:
        Console(stderr=True, highlight=False).print(f"[bold {profile.colour or 'cyan'}]{profile.name}[/]")


def _restore(name: str, before: str | None) -> None:
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before


def _names_of_profiles(incomplete: str) -> list[str]:
    return [name for name in all_profiles() if name.startswith(incomplete)]


_donor = typer.Typer(add_completion=False)


@_donor.command()
def _has_a_profile(
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            help="The profile with the server, instead of ROTA_PROFILE.",
            callback=_use_profile,
            is_eager=True,
            autocompletion=_names_of_profiles,
        ),
    ] = None,
) -> None:
    """Give the option, which Typer makes, to all commands."""


def _profile_option() -> Any:
    option = typer.main.get_command(_donor).params[0]
    option.expose_value = False  # no command takes it, because the settings read ROTA_PROFILE
    return option
