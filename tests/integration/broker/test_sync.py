"""What every kind of server gives through the sync broker."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from rota.broker import Broker, SyncBroker
from rota.errors import BrokerRefused
from tests.integration.broker.conftest import Way
from tests.integration.broker.scripts import PUSH, READ, call, script, unseen
from tests.servers.process import Server
from tests.servers.roles import as_admin


def test_a_script_runs_and_its_reply_is_decoded(sync_broker: SyncBroker, name: str) -> None:
    assert sync_broker.run(call(PUSH, name, "a", b"\xff")) == 2
    assert sync_broker.run(call(READ, name, decode=tuple)) == (b"a", b"\xff")


def test_a_script_that_the_server_does_not_hold_is_sent_along(sync_broker: SyncBroker, name: str) -> None:
    assert sync_broker.run(call(unseen("return 'new'"), name)) == b"new"
    other = unseen("return 'other'")
    assert sync_broker.run_many([call(other, name), call(other, name)]) == [b"other", b"other"]


def test_a_burst_keeps_its_order_though_the_server_has_yet_to_get_a_script(sync_broker: SyncBroker, name: str) -> None:
    new = unseen("return redis.call('RPUSH', KEYS[1], unpack(ARGV))")
    sync_broker.run(call(PUSH, name, "0"))
    sync_broker.run_many([call(new, name, "1"), call(PUSH, name, "2"), call(new, name, "3")])
    assert sync_broker.run(call(READ, name)) == [b"0", b"1", b"2", b"3"]


def test_scripts_that_the_server_has_forgotten_are_sent_along_again(redis_server: Server, name: str) -> None:
    with SyncBroker.from_url(redis_server.url) as broker:
        for text in ("1", "2"):
            broker.run(call(PUSH, name, text))
            with redis_server.admin() as admin:
                admin.script_flush()
        assert broker.run_many([call(PUSH, name, "3"), call(PUSH, name, "4")]) == [3, 4]
        assert broker.run(call(READ, name)) == [b"1", b"2", b"3", b"4"]


def test_many_calls_come_back_in_order_with_errors_as_values(sync_broker: SyncBroker) -> None:
    echo, fail = script("return ARGV[1]"), script("return redis.error_reply('ERR deliberate')")
    results = sync_broker.run_many([call(fail if i == 3 else echo, f"{{q{i}}}", i) for i in range(20)])
    assert isinstance(results.pop(3), BrokerRefused)
    assert results == [str(i).encode() for i in range(20) if i != 3]


async def test_a_command_for_every_master_is_answered_by_each(sync_broker: SyncBroker, broker: Broker) -> None:
    replies = sync_broker.execute_everywhere("PING")
    assert set(replies.values()) == {b"PONG"}
    assert replies == await broker.execute_everywhere("PING")


def test_threads_share_a_broker(sync_broker: SyncBroker) -> None:
    echo = script("return ARGV[1]")
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda i: sync_broker.run(call(echo, f"{{q{i % 9}}}", i)), range(400)))
    assert results == [str(i).encode() for i in range(400)]


def test_a_forked_child_uses_connections_of_its_own(sync_broker: SyncBroker, name: str) -> None:
    echo = script("return ARGV[1]")
    sync_broker.run(call(echo, name, 0))
    child = os.fork()
    if child == 0:
        good = all(sync_broker.run(call(echo, name, f"child{i}")) == f"child{i}".encode() for i in range(200))
        os._exit(0 if good else 1)
    assert all(sync_broker.run(call(echo, name, f"parent{i}")) == f"parent{i}".encode() for i in range(200))
    assert os.waitpid(child, 0)[1] == 0


def test_a_message_is_waited_for(sync_broker: SyncBroker, name: str) -> None:
    with sync_broker.subscribe(name) as messages:
        publisher = threading.Thread(target=sync_broker.execute, args=("PUBLISH", name, "hello"))
        publisher.start()
        assert messages.get(timedelta(seconds=20)) == (name, b"hello")
        publisher.join()
        assert messages.get(timedelta(milliseconds=5)) is None
    assert sync_broker.wait_for_message(name, timedelta(milliseconds=5)) is None


def test_a_good_server_passes_the_check(sync_broker: SyncBroker, way: Way) -> None:
    facts = sync_broker.check()
    assert facts.role == "master"
    assert facts.nodes == (3 if way.name == "cluster" else 1)


def test_an_error_of_a_script_is_raised(sync_broker: SyncBroker, name: str) -> None:
    with pytest.raises(BrokerRefused, match=r"refused EVAL(SHA)?: ERR deliberate"):
        sync_broker.run(call(script("return redis.error_reply('ERR deliberate')"), name))


def test_an_idle_connection_that_the_server_closed_is_not_used(redis_url: str) -> None:
    with SyncBroker.from_url(as_admin(redis_url)) as broker:
        number = int(broker.execute("CLIENT", "ID", key="anything"))
        with SyncBroker.from_url(as_admin(redis_url)) as other:
            other.execute("CLIENT", "KILL", "ID", number, key="anything")
            other.execute("CLIENT", "ID", key="anything")  # the server answers first, and closes then
        assert int(broker.execute("CLIENT", "ID", key="anything")) > number
