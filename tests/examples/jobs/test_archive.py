"""Archives of rotated logs, in which no line is lost."""

import gzip
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.jobs import app
from examples.jobs.archive import archive_logs
from examples.jobs.settings import JobRefused
from rota.testing import run_inline_sync
from tests.examples.jobs.killing import Killing

Configure = Callable[..., dict[str, str]]


@pytest.fixture
def environment(configure: Configure, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "logs").mkdir()
    return configure(folders={"logs": tmp_path / "logs", "archive": tmp_path / "archive"})


@pytest.fixture
def logs(environment: dict[str, str], tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def archive(environment: dict[str, str], tmp_path: Path) -> Path:
    return tmp_path / "archive"


def write(path: Path, text: str, age_seconds: float = 3600) -> None:
    path.write_text(text)
    os.utime(path, (time.time() - age_seconds,) * 2)


def lines(folder: Path) -> Counter[str]:
    """How often each line stands in the files of a folder, packed or not."""
    found: Counter[str] = Counter()
    for path in folder.glob("*.log*") if folder.exists() else ():
        if path.suffix != ".sha256" and not path.name.startswith("."):
            with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
                found.update(file)
    return found


def run(**arguments: object) -> list[str]:
    return run_inline_sync(app, archive_logs.plan("logs", "archive", **arguments))  # type: ignore[arg-type]


def test_rotated_logs_are_packed_and_the_live_one_stays(logs: Path, archive: Path) -> None:
    write(logs / "app.log", "live\n")
    write(logs / "app.log.1", "newer\n")
    write(logs / "app.log.2", "older\n")

    names = run()

    assert [name.split("-")[0] for name in names] == ["app.log.1", "app.log.2"]
    assert lines(archive) == {"newer\n": 1, "older\n": 1}
    assert [path.name for path in logs.glob("*.log*")] == ["app.log"]
    for name in names:
        subprocess.run(["sha256sum", "--check", f"{name}.sha256"], cwd=archive, check=True, capture_output=True)


def test_logs_of_one_name_from_two_rotations_are_both_kept(logs: Path, archive: Path) -> None:
    for text in ("monday\n", "tuesday\n"):
        write(logs / "app.log.1", text)
        run()

    assert lines(archive) == {"monday\n": 1, "tuesday\n": 1}


def test_log_that_was_changed_a_moment_ago_waits_for_the_next_run(logs: Path) -> None:
    write(logs / "app.log.1", "fresh\n", age_seconds=1)

    assert run(settled="1h") == []
    assert (logs / "app.log.1").read_text() == "fresh\n"


def test_log_that_is_packed_already_keeps_its_form(logs: Path, archive: Path) -> None:
    packed = gzip.compress(b"packed\n")
    (logs / "app.log.2.gz").write_bytes(packed)
    os.utime(logs / "app.log.2.gz", (0, 0))

    [name] = run()

    assert name.startswith("app.log.2-19700101T000000Z-")
    assert (archive / name).read_bytes() == packed


def test_line_that_a_program_adds_in_the_middle_is_archived_too(
    logs: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from examples.jobs import archive as module

    write(logs / "app.log.1", "first\n")
    real, late = module._write, ["late\n"]

    with (logs / "app.log.1").open("a") as program:

        def add_a_line(*arguments: object, **words: bool) -> None:
            real(*arguments, **words)  # type: ignore[arg-type]
            if late:
                program.write(late.pop())
                program.flush()

        monkeypatch.setattr(module, "_write", add_a_line)
        [name] = run()

    assert lines(archive) == {"first\n": 1, "late\n": 1}
    assert {path.name for path in archive.iterdir()} == {name, f"{name}.sha256"}


def test_links_are_not_followed(logs: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret", "secret\n")
    (logs / "app.log.1").symlink_to(tmp_path / "secret")

    assert run() == []
    assert (tmp_path / "secret").read_text() == "secret\n"


@pytest.mark.usefixtures("environment")
def test_archive_in_the_folder_of_the_logs_is_refused() -> None:
    with pytest.raises(JobRefused, match="take the archives for logs"):
        run_inline_sync(app, archive_logs.plan("logs", "logs"))
    with pytest.raises(JobRefused, match="leads out of the folder"):
        run_inline_sync(app, archive_logs.plan("logs", "archive/../.."))


@pytest.mark.parametrize("pattern", ["", "/etc/*", "../*", "sub/*.log"])
def test_pattern_that_leads_elsewhere_is_refused(logs: Path, pattern: str) -> None:
    with pytest.raises(JobRefused, match="cannot have a slash"):
        run(pattern=pattern)


@pytest.mark.slow
def test_no_line_is_lost_when_a_run_is_killed_anywhere(
    environment: dict[str, str], logs: Path, archive: Path, killer: Callable[..., Killing]
) -> None:
    written = [f"{name} {number}\n" for name in ("app.log.1", "app.log.2") for number in range(50)]
    for name in ("app.log.1", "app.log.2"):
        write(logs / name, "".join(line for line in written if line.startswith(name)))
    work = killer(
        "from datetime import timedelta\nfrom examples.jobs.archive import archive_logs\n"
        "def work(): archive_logs('logs', 'archive', settled=timedelta(0))",
        environment,
    )

    operation = 1
    while work.at(operation):
        found = lines(logs) | lines(logs / ".archiving") | lines(archive)
        assert set(found) == set(written), f"killed at {operation}"
        operation += 1

    assert operation > 10
    assert lines(archive) == dict.fromkeys(written, 1)
    assert lines(logs) == {}
    assert len(list(archive.iterdir())) == 4
