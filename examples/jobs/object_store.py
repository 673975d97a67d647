"""Copies of backups in an object store: S3 and what speaks its language, Google Cloud Storage, Azure.

The store is a URL such as `s3://bucket/folder`; its credentials come from the variables of the provider, for S3
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ENDPOINT_URL`. An upload is visible only when it is
whole. The checksum goes first, as in a folder, so a backup in the store always has one.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from examples.jobs.settings import JobRefused, JobSettings
from examples.jobs.whole_file import CHECKSUM, checksum_path, digest, whole_file, write_checksum

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class DamagedDownload(Exception):
    """What came from the store differs from its checksum."""


def open_object_store(settings: JobSettings, name: str) -> "ObjectStore":
    """Return the store of a name."""
    try:
        return from_url(settings.store(name))
    except (ValueError, BaseError) as error:
        first_line = str(error).partition("\n")[0]
        raise JobRefused(f"The URL of the store {name!r} in JOBS_STORES cannot be used: {first_line}") from None


def upload(store: "ObjectStore", file: Path) -> None:
    """Put a file and its checksum into the store, unless a run before has done so."""
    checksum = checksum_path(file).read_bytes()
    if _is_there(store, file, checksum):
        return
    obstore.put(store, file.name + CHECKSUM, checksum)
    obstore.put(store, file.name, file)  # in parts if it is long


def download(store: "ObjectStore", name: str, folder: Path) -> None:
    """Get a file with its checksum. Raises DamagedDownload if they do not fit."""
    target = folder / name
    try:
        expected = _read(store, name + CHECKSUM).split()[0].decode()
        with whole_file(target, mode=0o600) as unfinished:
            for chunk in obstore.get(store, name).stream():
                unfinished.file.write(chunk)
            unfinished.file.flush()
            if digest(unfinished.path) != expected:
                raise DamagedDownload(f"{name} differs from the checksum that is in the store.")
            write_checksum(target, expected, 0o600)
    except FileNotFoundError:
        raise JobRefused(f"The store has no file {name!r} with its checksum.") from None


def names(store: "ObjectStore") -> list[str]:
    """Return the names of the files in the store."""
    return [entry["path"] for batch in obstore.list(store) for entry in batch]


def remove(store: "ObjectStore", name: str) -> None:
    """Remove a file, and then its checksum."""
    for path in (name, name + CHECKSUM):
        obstore.delete(store, path)


def _is_there(store: "ObjectStore", file: Path, checksum: bytes) -> bool:
    try:
        has_size = obstore.head(store, file.name)["size"] == file.stat().st_size
        return has_size and _read(store, file.name + CHECKSUM) == checksum
    except FileNotFoundError:
        return False


def _read(store: "ObjectStore", name: str) -> bytes:
    return bytes(obstore.get(store, name).bytes())
