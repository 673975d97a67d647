"""The bytes in these tests were produced by Go's own code."""

from dataclasses import replace

import pytest

from rota.errors import PayloadError
from rota.wire import server_record
from rota.wire.keys import Keys
from rota.wire.server_record import RunningTask, ServerState
from rota.wire.worker_about import WorkerAbout

SERVER = ServerState(
    host="h",
    pid=1,
    server_id="s",
    concurrency=10,
    queues={"default": 1},
    strict_priority=True,
    status="active",
    started_ns=1700000000_123456789,
    active=2,
)
SERVER_BYTES = "0a016810011a0173200a2a0b0a0764656661756c74100130013a06616374697665420b0880e2cfaa0610959aef3a4802"
RUNNING = RunningTask(
    id="id1",
    type="t",
    payload=b"{}",
    queue="default",
    started_ns=1700000000 * 10**9,
    deadline_ns=1700001800 * 10**9,
)
RUNNING_BYTES = "0a016810011a017322036964312a017432027b7d3a0764656661756c7442060880e2cfaa064a060888f0cfaa06"


def test_a_server_has_the_bytes_of_go():
    assert server_record.pack_server(SERVER).hex() == SERVER_BYTES
    assert server_record.unpack_server(bytes.fromhex(SERVER_BYTES)) == SERVER


def test_a_running_task_has_the_bytes_of_go():
    assert server_record.pack_running(SERVER, RUNNING).hex() == RUNNING_BYTES
    assert server_record.unpack_running(bytes.fromhex(RUNNING_BYTES)) == RUNNING


def test_a_task_without_a_limit_says_so_as_go_does():
    unlimited = RunningTask(id="a", type="t", payload=b"", queue="q", started_ns=1)
    packed = server_record.pack_running(SERVER, unlimited)
    assert packed.endswith(bytes.fromhex("4a0b088092b8c398feffffff01"))
    assert server_record.unpack_running(packed).deadline_ns is None


def test_a_long_payload_is_shown_in_part():
    long = RunningTask(id="a", type="t", payload=b"x" * 100_000, queue="q")
    assert (
        len(server_record.unpack_running(server_record.pack_running(SERVER, long)).payload)
        == server_record.MAX_SHOWN_PAYLOAD_BYTES
    )


def test_a_beat_writes_the_record_under_the_keys_of_asynq():
    write, listed, workers = server_record.beat(Keys(), SERVER, [RUNNING])
    own, running = "asynq:servers:{h:1:s}", "asynq:workers:{h:1:s}"
    assert write.keys == (own, running, "rota:orders:{h:1:s}", "rota:about:{h:1:s}")
    assert [part if isinstance(part, int | str) else part.hex() for part in write.args] == [
        10,
        SERVER_BYTES,
        "",
        0,
        "id1",
        RUNNING_BYTES,
    ]
    assert (listed.keys, listed.args) == (("asynq:servers",), (own, 10))
    assert (workers.keys, workers.args) == (("asynq:workers",), (running, 10))


def test_a_beat_is_one_call_where_all_keys_are_on_one_server():
    [call] = server_record.beat(Keys(), SERVER, [RUNNING], spread=False)
    own = ("asynq:servers:{h:1:s}", "asynq:workers:{h:1:s}", "rota:orders:{h:1:s}", "rota:about:{h:1:s}")
    assert call.keys == (*own, "asynq:servers", "asynq:workers")


def test_a_beat_carries_the_answers_to_orders_before_the_running_tasks():
    [call] = server_record.beat(Keys(), SERVER, [RUNNING], spread=False, answers={"o1": "done", "o2": "no"})
    assert call.args[3:9] == [2, "o1", "done", "o2", "no", "id1"]


def test_a_beat_carries_what_the_server_tells_about_itself_beside_its_record():
    told = replace(SERVER, about=WorkerAbout(version="1.2"))
    [call] = server_record.beat(Keys(), told, [RUNNING], spread=False)
    assert [part.hex() if isinstance(part, bytes) else part for part in call.args[1:2]] == [SERVER_BYTES]
    assert call.args[2] == b'{"version": "1.2"}'


def test_a_stopped_server_writes_its_last_answers_only_if_it_has_some():
    names = [call.script.name for call in server_record.clear(Keys(), SERVER)]
    assert names == ["server_list", "server_list", "server_clear"]
    *_, answers = server_record.clear(Keys(), SERVER, answers={"o1": "done"})
    assert (answers.keys, answers.args) == (("rota:orders:{h:1:s}",), [1, "o1", "done"])


@pytest.mark.parametrize("unpack", [server_record.unpack_server, server_record.unpack_running])
def test_bytes_that_are_no_record_are_reported_as_such(unpack):
    with pytest.raises(PayloadError, match="2 bytes"):
        unpack(b"\xff\xff")
