"""Enqueues of one turn of the event loop, joined."""

import asyncio
from typing import Any

import pytest

from rota.client.batch import CHUNK_BYTES
from rota.client.batching import Batcher
from rota.errors import BrokerUnavailable
from rota.wire.keys import QueueKeys
from rota.wire.script import MOST_ENQUEUED, Call

A, B = QueueKeys("a"), QueueKeys("b")


class Server:
    """Notes the IDs of each call, and answers when told to."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def send(self, call: Call[int]) -> int:
        self.calls.append([str(word) for word in call.args[1::2]])
        await asyncio.sleep(0)  # a server never answers in the same turn
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return len(self.calls[-1])


async def raised(call: Call[int], lost: BrokerUnavailable) -> int:
    raise lost


async def sent(batcher: Batcher, *ids: str, keys: QueueKeys = A) -> list[Any]:
    return await asyncio.gather(*(batcher.add(keys, task_id, b"m") for task_id in ids), return_exceptions=True)


async def test_a_lone_enqueue_leaves_at_once() -> None:
    server = Server()
    batcher = Batcher(server.send, raised)
    for task_id in "xyz":
        await batcher.add(A, task_id, b"m")
    assert server.calls == [["x"], ["y"], ["z"]]


async def test_those_that_come_meanwhile_leave_together_in_their_order() -> None:
    server = Server()
    assert await sent(Batcher(server.send, raised), *"vwxyz") == [None] * 5
    assert server.calls == [["v"], ["w", "x", "y", "z"]]


async def test_nobody_waits_for_the_call_that_is_under_way() -> None:
    server = Server()
    server.open.clear()
    batcher = Batcher(server.send, raised)
    waiting = asyncio.gather(sent(batcher, "v", "w"), sent(batcher, "x"))
    while len(server.calls) < 2:
        await asyncio.sleep(0)
    server.open.set()
    assert await waiting == [[None, None], [None]]
    assert server.calls == [["v"], ["w", "x"]]


async def test_each_queue_has_a_call_of_its_own() -> None:
    server = Server()
    batcher = Batcher(server.send, raised)
    await asyncio.gather(sent(batcher, "u", "v", "w"), sent(batcher, "x", "y", keys=B))
    assert sorted(server.calls) == [["u"], ["v", "w"], ["x", "y"]]


async def test_large_tasks_leave_in_calls_of_a_few_megabytes() -> None:
    server = Server()
    batcher = Batcher(server.send, raised)
    large = bytes(CHUNK_BYTES // 3)
    await asyncio.gather(*(batcher.add(A, str(i), large) for i in range(8)))
    assert [len(ids) for ids in server.calls] == [1, 4, 3]


async def test_a_call_stays_within_the_scripts_limit() -> None:
    server = Server()
    await sent(Batcher(server.send, raised), *(str(i) for i in range(2 * MOST_ENQUEUED + 2)))
    assert [len(ids) for ids in server.calls] == [1, MOST_ENQUEUED, MOST_ENQUEUED, 1]


async def test_an_error_reaches_everyone_who_waits_for_that_call() -> None:
    server = Server()
    server.error = BrokerUnavailable("no")
    batcher = Batcher(server.send, raised)
    assert await sent(batcher, *"xyz") == [server.error] * 3
    server.error = None
    assert await sent(batcher, *"xyz") == [None] * 3


async def test_who_stops_waiting_stops_nobody_else() -> None:
    server = Server()
    server.open.clear()
    batcher = Batcher(server.send, raised)
    first, leaves, stays = (asyncio.create_task(batcher.add(A, task_id, b"m")) for task_id in "xyz")
    while len(server.calls) < 2:
        await asyncio.sleep(0)
    leaves.cancel()
    server.open.set()
    await asyncio.gather(first, stays)
    with pytest.raises(asyncio.CancelledError):
        await leaves
    assert server.calls == [["x"], ["y", "z"]]


async def test_a_cancelled_enqueue_leaves_the_way_free() -> None:
    server = Server()
    server.open.clear()
    batcher = Batcher(server.send, raised)
    alone = asyncio.create_task(batcher.add(A, "x", b"m"))
    while not server.calls:
        await asyncio.sleep(0)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    server.open.set()
    await batcher.add(A, "y", b"m")
    assert server.calls == [["x"], ["y"]]
