"""The doctor examines every server, and says what to do about one that refuses."""

import time
from types import SimpleNamespace

import pytest

from rota.broker import Broker
from rota.inspect.doctor import examine
from rota.inspect.doctor.server_settings import clock
from tests.servers.fake import HELLO, fake_server
from tests.servers.fleet import ClusterFleet


async def test_a_server_that_refuses_is_one_finding_with_its_own_fix() -> None:
    info = b"redis_version:6.0.16\r\nrole:master"

    def answer(words: list[bytes]) -> bytes:
        return HELLO if words[0] == b"HELLO" else b"$%d\r\n%b\r\n" % (len(info), info)

    async with fake_server(answer) as url, Broker.from_url(url) as broker:
        [found] = (await examine(broker)).findings

    assert (found.code, found.severity) == ("server", "error")
    assert "is Redis 6.0.16, which is too old" in found.what
    assert found.fix.startswith("Upgrade the server to Redis 6.2")


async def test_each_master_is_asked_for_its_clock(cluster: ClusterFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Broker.from_url(cluster.url) as broker:
        assert await clock(broker, go_servers=0) == []
        monkeypatch.setattr("rota.inspect.doctor.server_settings.time", SimpleNamespace(time=lambda: time.time() + 20))
        [found] = await clock(broker, go_servers=0)

    assert (found.code, found.severity) == ("clock-skew", "note")
    for master in cluster.masters():
        assert f" s from 127.0.0.1:{master.port}" in found.what
