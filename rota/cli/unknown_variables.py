"""Warns of a variable that begins with `ROTA_` and that nothing reads, because it is probably misspelt.

Only the commands that a variable names are imported for this. Commands that show the warnings of the settings
themselves are left out.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup

from rota.cli import output
from rota.core.text import nearest
from rota.settings.origin import ENVIRONMENT_PREFIX, is_of_all_commands

WARN_THEMSELVES = ("config", "dev", "worker run")
_USUAL = {f"{ENVIRONMENT_PREFIX}{name}" for name in ("URL", "STORE", "APP", "QUEUES")}
"""Settings for which the module with all settings is not imported."""
_OF_A_SERVICE = re.compile(r".*_SERVICE_(HOST|PORT)(_.*)?|.*_PORT(_\d+_.*)?")
"""Variables of the services of a Kubernetes namespace: each pod has them of a service that is called rota, too."""


def warn(root: Any, path: str, own: set[str]) -> None:
    """Warn of each variable that is neither a setting nor an option. `own` are those of the command that is run."""
    if path in WARN_THEMSELVES:
        return
    given = sorted(name.upper() for name, value in os.environ.items() if value)
    others = [
        name
        for name in given
        if name.startswith(ENVIRONMENT_PREFIX)
        and name not in own | _USUAL
        and not is_of_all_commands(name)
        and not _OF_A_SERVICE.fullmatch(name)
    ]
    if not others:
        return
    from rota.settings.settings import GROUP_OF

    settings = {f"{ENVIRONMENT_PREFIX}{name}".upper() for name in GROUP_OF}
    for name in others:
        if name not in settings:
            options = set(_options(root, name.removeprefix(ENVIRONMENT_PREFIX)))
            if name not in options:
                _warn(name, own | settings | options)


def _warn(name: str, known: set[str]) -> None:
    near = nearest(name, known)
    advice = f"Did you mean {near}?" if near else "`rota config` lists the settings."
    output.warn(f"{name} is set, but no setting and no option has this name: it changes nothing. {advice}")


def _options(group: Any, rest: str) -> Iterator[str]:
    """Yield the variables of the commands with whose words a variable begins, or seems to begin."""
    words = {word.upper().replace("-", "_"): word for word in group.commands}
    meant = [each for each in words if rest.startswith(f"{each}_")]
    if not meant and (near := nearest(rest.partition("_")[0], words)):
        meant, rest = [near], f"{near}_{rest.partition('_')[2]}"
    for each in meant:
        command = group.commands[words[each]]
        if isinstance(command, TyperGroup):
            yield from _options(command, rest.removeprefix(f"{each}_"))
        else:
            yield from variables_of(command)


def variables_of(command: Any) -> set[str]:
    """Return the environment variables of the options of a command."""
    return {each.envvar for each in command.params if isinstance(each.envvar, str)}
