"""The probe writes down each time in which the server was away, however short it was."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash import outages
from tests.crash.ledger import Ledger
from tests.crash.outages import Outage
from tests.crash.probe import ANSWER_SECONDS, Probe
from tests.servers.process import Server, wait_until


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server().start()
    yield server
    server.stop()


@pytest.mark.parametrize(("outage", "silent"), [(outages.silence, True), (outages.restart, False)])
def test_an_outage_is_written_down_that_is_over_before_the_second_question(
    server: Server, tmp_path: Path, outage: Outage, silent: bool
) -> None:
    ledger = Ledger(tmp_path)
    note = ledger.writer()
    probe = Probe(server.url, lambda: ["q"], note)

    def said(what: str) -> list[dict[str, Any]]:
        return [line for line in ledger.lines() if line["what"] == what]

    with server.client() as client:
        wait_until(lambda: client.info("commandstats").get("cmdstat_eval") is not None)
    began = time.monotonic()
    with outage(server):
        wait_until(lambda: time.monotonic() > began + ANSWER_SECONDS * 1.2)
    wait_until(lambda: said("back") != [])
    probe.close()
    note.close()
    [away] = said("away")
    assert away["silent"] is silent
    assert away["at"] < began + ANSWER_SECONDS
