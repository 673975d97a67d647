"""A folder that only its owner can read, for the data of an embedded server, because that data holds payloads."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from rota.errors import ConfigError

_OTHERS = 0o077
_SHARED_NAME = ".rota"


def make_private(folder: Path, files: Iterable[str]) -> None:
    """Create the folder for its owner alone, or revoke the permissions of other users.

    Covers also a parent folder named `.rota`, and `files`: glob patterns of files that an earlier version may have
    left with wider permissions. Raises ConfigError if other users can read the folder and this user cannot change
    that.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    above = [parent for parent in folder.parents if parent.name == _SHARED_NAME]
    for path in (*above, folder):
        _take_rights(path)
    for pattern in files:
        for path in folder.glob(pattern):
            # The file was deleted meanwhile or belongs to another user. The folder itself keeps other users out.
            with contextlib.suppress(OSError):
                path.chmod(path.stat().st_mode & ~_OTHERS)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _take_rights(path: Path) -> None:
    mode = path.stat().st_mode
    if not mode & _OTHERS:
        return
    try:
        path.chmod(mode & ~_OTHERS)
    except PermissionError as error:
        raise ConfigError(
            f"Other users can read {path}, which is to hold payloads, and it belongs to another user, so its rights "
            "cannot be changed. Choose a folder of your own, or let its owner run `chmod 700` on it."
        ) from error
