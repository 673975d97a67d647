"""Inspections of this machine, and of certificates in files and on a local server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.jobs import app
from examples.jobs.certificates import inspect_certificates
from examples.jobs.inspection import Inspection, free_memory, inspect_machine
from examples.jobs.settings import JobRefused
from rota.testing import run_inline, run_inline_sync
from tests.examples.jobs.smtp_sink import SmtpSink
from tests.examples.jobs.web_server import WebServer
from tests.servers.certificates import Authority, Pair

Configure = Callable[..., dict[str, str]]
ANN = "ann@example.org"


@pytest.fixture(autouse=True)
def settings(configure: Configure, smtp: SmtpSink, tmp_path: Path) -> None:
    configure(smtp=smtp.url, folders={"data": tmp_path})


def inspect(**arguments: object) -> Inspection:
    return run_inline_sync(app, inspect_machine.options(task_id="one").plan(alert=[ANN], **arguments))  # type: ignore[arg-type]


def test_machine_without_problems_is_measured(smtp: SmtpSink) -> None:
    found = inspect(disk_free=0, memory_free=0, load_per_core=1e9)

    assert found.problems == []
    assert found.measured.keys() == {"disk data", "memory", "load"}
    assert all(value is None or value >= 0 for value in found.measured.values())
    assert smtp.mails == []


def test_problems_are_mailed_once(smtp: SmtpSink) -> None:
    found, _ = [inspect(disk_free=100, memory_free=100, load_per_core=-1) for _ in range(2)]

    assert len(found.problems) == 3
    assert found.problems[0].startswith("The disk of data has ")
    [(address, mail)] = smtp.mails
    assert address == ANN
    assert mail["Subject"].startswith("3 problems on ")
    assert mail.get_content().splitlines() == found.problems


def test_disk_that_is_not_there_is_refused(configure: Configure, tmp_path: Path) -> None:
    configure(folders={"none": tmp_path / "none"})

    with pytest.raises(JobRefused, match="is not there"):
        inspect()
    with pytest.raises(JobRefused, match="no folder 'etc'"):
        inspect(disks=["etc"])


def test_memory_is_read_from_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(
        "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\nHugePages_Total: 0\n"
    )

    assert free_memory(tmp_path / "meminfo") == 25.0
    assert free_memory(tmp_path / "none") is None


# Certificates: those of the authority last two days.


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Authority(tmp_path, "ours").issue("server")


@pytest.fixture
def web_tls(pair: Pair, configure: Configure) -> Iterator[WebServer]:
    server = WebServer(pair=(pair.cert, pair.key))
    configure(http_hosts=[server.host], http_networks=["127.0.0.1/32"])
    yield server
    server.close()


async def look(**arguments: object) -> Inspection:
    return await run_inline(app, inspect_certificates.options(task_id="one").plan(**arguments))  # type: ignore[arg-type]


async def test_certificate_of_a_host_is_measured(web_tls: WebServer) -> None:
    found = await look(hosts=[web_tls.host], days=1)

    assert found.problems == []
    assert 1.9 < (found.measured[web_tls.host] or 0) <= 2
    assert web_tls.asked == []


async def test_certificate_that_ends_soon_is_mailed(web_tls: WebServer, smtp: SmtpSink) -> None:
    found = await look(hosts=[web_tls.host], files=["data/server.crt"], alert=[ANN])

    assert len(found.problems) == 2
    assert "data/server.crt: CN=server ends on " in found.problems[0]
    assert found.problems[1].startswith(f"{web_tls.host}: CN=server ends on ")
    [(_, mail)] = smtp.mails
    assert mail.get_content().splitlines() == found.problems


async def test_chain_is_judged_by_the_certificate_that_ends_first(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text((tmp_path / "ours.crt").read_text() + pair.cert.read_text())

    found = await look(files=["data/chain.pem"], days=1)

    assert found.problems == []
    assert 1.9 < (found.measured["data/chain.pem"] or 0) <= 2


async def test_certificate_that_cannot_be_read_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    plain = WebServer()
    try:
        configure(http_hosts=[plain.host], http_networks=["127.0.0.1/32"])
        found = await look(files=["data/bad.pem", "data/none.pem"], hosts=[plain.host])
    finally:
        plain.close()

    assert len(found.problems) == 3
    assert set(found.measured.values()) == {None}


@pytest.mark.parametrize(
    "arguments", [{"hosts": ["10.0.0.1"]}, {"hosts": ["127.0.0.1:1/x@y"]}, {"files": ["data/../x"]}]
)
async def test_host_or_file_outside_of_the_settings_is_refused(
    configure: Configure, arguments: dict[str, object]
) -> None:
    configure(http_hosts=["127.0.0.1:1"])

    with pytest.raises(JobRefused):
        await look(**arguments)
