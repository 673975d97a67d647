"""`rota profiles`: the servers that `--profile` can name, with their files and what guards them."""

import os
import stat
from pathlib import Path
from typing import Any

import typer

from rota.cli import output
from rota.cli.language import translated
from rota.cli.option_types import AsJson
from rota.settings.origin import all_profiles, shown
from rota.settings.profiles import PROFILE_VARIABLE, Profile, own_file


def command(as_json: AsJson = False) -> None:
    """List the profiles: named servers for --profile and ROTA_PROFILE. Passwords are masked."""
    found = list(all_profiles().values())
    current = os.environ.get(PROFILE_VARIABLE, "")
    if as_json:
        output.print_json([_plain(each, current) for each in found])
        return
    if not found:
        output.note("There are no profiles.")
        output.note(f"Write one in {own_file() or 'pyproject.toml'}:")
        typer.echo('[production]\nurl = "rediss://redis.example.com:6379/0"\nconfirm = true\ncolour = "red"', err=True)
        return
    columns = [
        output.Column(""),
        output.Column("profile"),
        output.Column("url", folds=True),
        output.Column("confirm"),
        output.Column("file", folds=True, optional=True),
    ]
    output.print_table(columns, [_row(each, current) for each in found])
    for file in sorted({each.file for each in found if _others_read(each)}):
        output.warn(f"{file} holds a password and other users can read it. Run: chmod 600 {file}")


def _row(profile: Profile, current: str) -> tuple[str, ...]:
    mark, url = "*" if profile.name == current else "", _url(profile)
    return mark, profile.name, url or "-", translated("yes") if profile.confirm else "", str(profile.file)


def _plain(profile: Profile, current: str) -> dict[str, Any]:
    return {
        "name": profile.name,
        "current": profile.name == current,
        "url": _url(profile),
        "settings": sorted(profile.settings),
        "confirm": profile.confirm,
        "colour": profile.colour,
        "file": str(profile.file),
    }


def _url(profile: Profile) -> str | None:
    url = profile.settings.get("url")
    return None if url is None else shown("url", url)


def _others_read(profile: Profile) -> bool:
    """Return whether a profile has a password in a file that other users of this machine can read."""
    secret = "password" in profile.settings or "@" in str(profile.settings.get("url", ""))
    return secret and bool(_mode(profile.file) & (stat.S_IRGRP | stat.S_IROTH))


def _mode(file: Path) -> int:
    try:
        return file.stat().st_mode
    except OSError:  # it was removed meanwhile
        return 0
