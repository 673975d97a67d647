"""Archives rotated logs: each becomes a compressed file with a checksum in another folder, and no line is lost.

The way of one log, of which each step can be repeated after a kill:

1. The file is renamed into the hidden folder `.archiving` beside it. From then on the program that rotates the logs
   cannot rename or overwrite it in the middle of the work.
2. It is compressed into the archive folder, under a name made of its name, its time and its content. So the same log
   has the same place there at a second run.
3. The archive is read again, and its content compared with the log.
4. Only then the log is removed, and only if it has not grown in the meantime.

A run begins with what an earlier one left in `.archiving`.
"""

import gzip
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from examples.jobs.programs import chunks_of
from examples.jobs.settings import JobRefused, JobSettings
from examples.jobs.whole_file import alone, checksum_path, is_whole, sync_folder, whole_file
from rota import Retry, Tasks
from rota.core.duration import Duration

tasks = Tasks()
_CLAIMED = ".archiving"
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_SETTLED = timedelta(minutes=1)


class DamagedArchive(Exception):
    """The content of an archive, read back, differs from the log."""


@tasks.task(
    "logs",
    run="process",
    timeout="1h",
    retention="7d",
    retry=Retry(max=5, backoff="exponential", base="1m", never=[JobRefused]),
)
def archive_logs(folder: str, target: str, pattern: str = "*.log.*", settled: Duration = _SETTLED) -> list[str]:
    """Move the rotated logs of a folder into an archive, and return the names of the archives.

    `pattern` must not match a log that a program writes to; a file that was changed within `settled` stays for the next
    run. A log that is compressed already keeps its form.
    """
    settings = JobSettings.read()
    source, archive = settings.folder(folder), settings.folder(target)
    if not source.is_dir():
        raise JobRefused(f"{source} is not a folder.")
    if not pattern or "/" in pattern:
        raise JobRefused(f"The pattern {pattern!r} has to match names in the folder, so it cannot have a slash.")
    if archive == source:
        raise JobRefused(
            "The archive is the folder of the logs itself, so the next run would take the archives for logs."
        )
    claimed = source / _CLAIMED
    with alone(source / f"{_CLAIMED}.lock", f"the logs in {source}"):
        claimed.mkdir(exist_ok=True)
        _claim(source, pattern, settled, claimed)
        made = [_archive(log, archive) for log in sorted(claimed.iterdir())]
    return [path.name for path in made]


def _claim(source: Path, pattern: str, settled: timedelta, claimed: Path) -> None:
    newest = time.time() - settled.total_seconds()
    for path in sorted(source.glob(pattern)):
        about = path.lstat()
        is_log = path.parent == source and stat.S_ISREG(about.st_mode) and not path.name.startswith(".")
        if is_log and about.st_mtime <= newest:
            # The number keeps two logs apart that had the same name in two runs.
            path.rename(claimed / f"{about.st_ino}-{path.name}")
    sync_folder(source)


def _archive(log: Path, folder: Path) -> Path:
    """Archive one claimed log, and remove it."""
    while True:
        with log.open("rb") as file:
            before = os.fstat(file.fileno())
            content = hashlib.file_digest(file, "sha256").hexdigest()
            target = folder / _name(log, before.st_mtime, content)
            if not (is_whole(target) and _content(target, packed_by_us=not _is_packed(log)) == content):
                _write(file, target, pack=not _is_packed(log))
                if _content(target, packed_by_us=not _is_packed(log)) != content:
                    raise DamagedArchive(f"{target} differs from the log {log}, which stays.")
            after = os.fstat(file.fileno())
        if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
            log.unlink()
            return target
        # A program still had the log open, and has added lines: archive it again, whole.
        target.unlink()
        checksum_path(target).unlink()


def _name(log: Path, modified: float, content: str) -> str:
    name = re.sub(r"^\d+-", "", log.name)
    stamp = f"{datetime.fromtimestamp(modified, UTC):%Y%m%dT%H%M%SZ}-{content[:12]}"
    ending = next((end for end in _PACKED if name.endswith(end)), "")
    return f"{name.removesuffix(ending)}-{stamp}{ending or '.gz'}"


def _write(log: BinaryIO, target: Path, *, pack: bool) -> None:
    log.seek(0)
    with whole_file(target, checksum=True) as unfinished:
        if pack:
            # Without a name and a time in it, the same log gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=unfinished.file, mtime=0) as packed:
                shutil.copyfileobj(log, packed)
        else:
            shutil.copyfileobj(log, unfinished.file)


def _content(target: Path, *, packed_by_us: bool) -> str:
    content = hashlib.sha256()
    for chunk in _chunks(target, packed_by_us):
        content.update(chunk)
    return content.hexdigest()


def _chunks(target: Path, packed_by_us: bool) -> Iterator[bytes]:
    with gzip.open(target, "rb") if packed_by_us else target.open("rb") as file:
        yield from chunks_of(file)


def _is_packed(log: Path) -> bool:
    return log.name.endswith(_PACKED)
