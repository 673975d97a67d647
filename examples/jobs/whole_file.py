"""Files that are either whole or not there, with their checksums, so that a job may be killed at any point.

A file is written under a hidden name beside its place, brought to the disk, and then renamed. The hidden name is always
the same for one target and is locked while a process writes: the next run takes over what a killed one left.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rota import RetryLater

CHECKSUM = ".sha256"
BUSY_FOR = "30s"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file that is being written: its hidden path, and the open file."""

    path: Path
    file: BinaryIO


@contextmanager
def whole_file(target: Path, *, mode: int = 0o640, checksum: bool = False) -> Iterator[Unfinished]:
    """Give a file to write to, and move it onto the target when the block ends without an error.

    With `checksum` the SHA-256 is in place before the file is, in the format of `sha256sum --check`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.with_name(f".{target.name}.unfinished")
    with _locked(hidden) as file:
        try:
            file.truncate(0)
            os.fchmod(file.fileno(), mode)
            yield Unfinished(hidden, file)
            file.flush()
            os.fsync(file.fileno())
            if checksum:
                write_checksum(target, digest(hidden), mode)
            hidden.replace(target)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
    sync_folder(target.parent)


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock while the block runs. If another process holds it, the task runs again later.

    The kernel releases the lock of a process that dies.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RetryLater(BUSY_FOR, counts=False, reason=f"another task is working on {what}") from None
        yield


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_path(path: Path) -> Path:
    """Return where the checksum of a file is kept."""
    return path.with_name(path.name + CHECKSUM)


def write_checksum(path: Path, value: str, mode: int = 0o640) -> None:
    """Keep the checksum of a file beside it."""
    with whole_file(checksum_path(path), mode=mode) as unfinished:
        unfinished.file.write(f"{value}  {path.name}\n".encode())


def is_whole(path: Path) -> bool:
    """Whether the file is there and has the checksum that is kept beside it."""
    kept = checksum_path(path)
    return path.is_file() and kept.is_file() and kept.read_text().split(maxsplit=1)[:1] == [digest(path)]


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    while True:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Another writer may have renamed the file while this one waited for its lock.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return
