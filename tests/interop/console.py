"""Asynqmon's JSON API and its pages, on one queue of ours that has a task in every state."""

import json
import time
from datetime import timedelta
from typing import Any
from urllib.request import Request, urlopen

from rota.wire.keys import Keys
from rota.wire.server_record import RunningTask, ServerState, beat
from tests.interop.raw_queue import RawQueue

STATES = ("active", "pending", "aggregating", "scheduled", "retry", "archived", "completed")
TASKS = {
    "active": "busy", "pending": "next", "aggregating": "member", "scheduled": "later",
    "retry": "again", "archived": "lost", "completed": "done",
}  # fmt: skip
SERVER = ServerState(
    host="rota-host", pid=4321, server_id="5e0f", concurrency=12, queues={"mail": 6, "low": 1}, strict_priority=True,
    started_ns=1_700_000_000_000_000_000, active=1,
)  # fmt: skip


class Console:
    """Asynqmon's JSON API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> Any:
        with urlopen(f"{self.address}/api{path}") as reply:
            return json.load(reply)

    def tasks(self, state: str, queue: str = "mail") -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = self.get(f"/queues/{queue}/{listing(state)}_tasks")["tasks"]
        return tasks

    def send(self, path: str, method: str = "POST", body: object = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.address}/api{path}", data, method=method)) as reply:
            assert reply.status < 300


def listing(state: str) -> str:
    """The path of the list that the API has of a state: that of a group is below the group."""
    return "groups/digest/aggregating" if state == "aggregating" else state


async def stage(queue: RawQueue) -> None:
    """Put one task into each state, with our scripts, and a server's record of the one that runs."""
    for name in ("done", "lost", "again", "busy"):
        await queue.add(name, type=f"mail:{name}", payload=b'{"user": 7}', retention=timedelta(hours=1))
    await queue.complete(*await queue.take(), result=b'{"sent": true}')
    await queue.fail(*await queue.take(), kind="archive", text="no such address")
    await queue.fail(*await queue.take(), text="try later")
    await queue.take()
    await queue.add("next", type="mail:next", payload=b"\xff\x00", headers={"trace": "1"})
    await queue.add("later", type="mail:later", when="+3600.5")
    await queue.add("member", type="mail:member", group="digest")
    now_ns = time.time_ns()
    running = RunningTask(
        id="busy", type="mail:busy", payload=b'{"user": 7}', queue="mail",
        started_ns=now_ns, deadline_ns=now_ns + 10**12,
    )  # fmt: skip
    for call in beat(Keys(), SERVER, [running], timedelta(hours=1)):  # a browser may take long to start
        await queue.run(call)
