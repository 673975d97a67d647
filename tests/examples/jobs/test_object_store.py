"""Backups in an object store: moto's server, which speaks the language of S3."""

import os
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import obstore
import pytest

from examples.jobs import app
from examples.jobs.backup import back_up, backups, fetch, restore
from examples.jobs.object_store import DamagedDownload, names, open_object_store
from examples.jobs.settings import JobRefused, JobSettings
from rota.testing import run_inline_sync
from tests.servers.process import free_port, wait_until

pytestmark = pytest.mark.slow
Configure = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close() or True)
    yield url
    server.kill()
    server.wait()


@pytest.fixture
def folder(s3: str, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bucket = f"backups-{os.getpid()}-{tmp_path.name.replace('_', '-').lower()}"[:63].rstrip("-")
    urllib.request.urlopen(urllib.request.Request(f"{s3}/{bucket}", method="PUT"), timeout=30).close()
    for name, value in (
        ("AWS_ENDPOINT_URL", s3),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ):
        monkeypatch.setenv(name, value)
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("INSERT INTO customers VALUES ('ann')")
    configure(
        databases={name: f"sqlite:///{tmp_path}/{name}.sqlite3" for name in ("shop", "shop-test")},
        folders={"backups": tmp_path / "backups", "other": tmp_path / "other"},
        stores={"offsite": f"s3://{bucket}/shop", "none": f"s3://no-such-bucket-{os.getpid()}"},
    )
    return tmp_path / "backups"


def run_backup(task_id: str = "one", *, copy_to: str = "offsite", keep: int = 7) -> str:
    return run_inline_sync(app, back_up.options(task_id=task_id).plan("shop", "backups", keep=keep, copy_to=copy_to))


def stored() -> list[str]:
    return sorted(names(open_object_store(JobSettings.read(), "offsite")))


def test_backup_comes_back_from_the_store_on_another_machine(folder: Path, tmp_path: Path) -> None:
    name = run_backup()

    assert run_inline_sync(app, fetch.plan("offsite", "other", name)) == name
    run_inline_sync(app, restore.plan("shop-test", "other", name))

    assert stored() == [name, f"{name}.sha256"]
    assert (tmp_path / "other" / name).read_bytes() == (folder / name).read_bytes()
    with closing(sqlite3.connect(tmp_path / "shop-test.sqlite3")) as connection:
        assert connection.execute("SELECT name FROM customers").fetchall() == [("ann",)]


def test_store_keeps_as_many_as_the_folder_and_leaves_other_files_alone(folder: Path) -> None:
    obstore.put(open_object_store(JobSettings.read(), "offsite"), "readme.txt", b"stay")
    for number in range(4):
        run_backup(f"task {number}", keep=2)

    kept = [path.name for path in backups(folder, "shop")]
    assert stored() == sorted(["readme.txt", *kept, *(f"{name}.sha256" for name in kept)])
    assert len(kept) == 2


def test_retry_after_an_upload_that_failed_uploads_the_same_backup(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_backup(copy_to="none")
    [made] = backups(folder, "shop")

    assert run_backup() == made.name
    assert run_backup() == made.name
    assert stored() == [made.name, f"{made.name}.sha256"]


def test_damaged_download_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    name = run_backup()
    obstore.put(open_object_store(JobSettings.read(), "offsite"), name, b"damaged")

    with pytest.raises(DamagedDownload, match="differs from the checksum"):
        run_inline_sync(app, fetch.plan("offsite", "other", name))
    assert list((tmp_path / "other").iterdir()) == []


def test_store_or_file_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(JobRefused, match="no store 'elsewhere'"):
        run_backup(copy_to="elsewhere")
    with pytest.raises(JobRefused, match="has no file 'none' with its checksum"):
        run_inline_sync(app, fetch.plan("offsite", "other", "none"))
    with pytest.raises(JobRefused, match="plain name"):
        run_inline_sync(app, fetch.plan("offsite", "other", "../shop.sqlite3"))


def test_store_of_a_kind_that_is_not_known_is_refused(configure: Configure, folder: Path) -> None:
    configure(stores={"offsite": "ftp://host/folder"})

    with pytest.raises(JobRefused, match="JOBS_STORES cannot be used"):
        run_backup()
