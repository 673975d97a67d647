"""The options that several commands share, and the parsing of option values: settings, headers, durations, times.

A command takes a shared option by its type (`url: Url = None`), so that the option has one spelling and one help text.
`--profile` is in no signature, because `rota/cli/frame.py` adds it to all commands.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeAlias

import typer

from rota.core.duration import parse
from rota.core.text import did_you_mean
from rota.errors import ConfigError, OptionError
from rota.settings.origin import CommandLine

Url: TypeAlias = Annotated[str | None, typer.Option(help="The server, instead of ROTA_URL.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="For programs.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Answer the questions with yes.")]
Queue: TypeAlias = Annotated[str | None, typer.Option("--queue", "-q", help="The queue.")]
TaskId: TypeAlias = Annotated[str, typer.Argument(help="The ID of the task.")]

_OPTIONS = {"strict_priority": "--strict"}
"""Options of the command line that are not named after their setting."""


def settings_of(pairs: Iterable[str], **options: str | int | None) -> CommandLine:
    """Return the settings of a command line: from its options, overridden by `--set name=value`."""
    line = CommandLine()
    for name, value in options.items():
        if value is not None:
            line = line.with_setting(name, value, _OPTIONS.get(name, f"--{name.replace('_', '-')}"))
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name.strip().isidentifier():
            # The word is not shown: it may be a URL with a password.
            raise ConfigError("--set needs name=value, as in --set lease=1m; `rota config` lists the names.")
        line = line.with_setting(name.strip(), value, "--set")
    return line


def headers(pairs: Iterable[str]) -> dict[str, str]:
    """Read `key=value` pairs."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not (separator and key):
            raise OptionError(f"The header {pair!r} is not of the form key=value.")
        found[key] = value
    return found


def json_payload(text: str) -> Any:
    """Read the payload of a task, which is JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"The payload is not JSON ({error}). Quote it for the shell.") from None


def one_of(text: str | None, name: str, known: Iterable[str]) -> None:
    """Raise ConfigError if an option was given and is none of the known words."""
    if text is not None and text not in (words := tuple(known)):
        raise ConfigError(f"{name} is {text!r}. {did_you_mean(text, words)}")


def duration(text: str | None, name: str) -> timedelta | None:
    """Read `30s`, `1h30m` or a bare number of seconds."""
    if text is None:
        return None
    return parse(float(text) if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text) else text, name)


def instant(text: str | None, name: str) -> datetime | None:
    """Read an ISO 8601 time; without an offset it is local time. A space may stand before the offset, as in tables."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(re.sub(r" (?=[+-]\d{4}$)", "", text.strip())).astimezone()
    except (ValueError, OverflowError):
        raise OptionError(
            f"{name} is {text!r}: write a time such as 2026-01-31T18:00 or 2026-01-31T18:00+01:00."
        ) from None
