"""What is in Redis before a test looks: the keys of the specification, written one by one."""

import time
from typing import Any

from rota.wire.keys import QueueKeys
from rota.wire.proto import TaskMessage


class State:
    """Seeds one database. Scores are relative to the machine's clock, which is Redis' too."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.now = time.time()

    def queue(self, name: str = "default") -> QueueKeys:
        self.client.sadd("asynq:queues", name)
        return QueueKeys(name)

    def task(self, queue: QueueKeys, task_id: str, state: str, fields: dict[str, Any] | None = None, **message: Any):
        """Write the hash of a task, and its ID where that state keeps it, one minute from now (or ago)."""
        data = TaskMessage(**{"type": "t", "id": task_id, "queue": queue.queue, "retry": 25, "timeout": 1800} | message)
        self.client.hset(
            queue.task(task_id), mapping={"msg": data.SerializeToString(), "state": state, **(fields or {})}
        )
        self.place(queue, task_id, state, message.get("group_key", ""))

    def place(self, queue: QueueKeys, task_id: str, state: str, group: str = "") -> None:
        match state:
            case "pending":
                self.client.lpush(queue.pending, task_id)
            case "active":
                self.client.lpush(queue.active, task_id)
                self.client.zadd(queue.lease, {task_id: int(self.now) + 30})
            case "aggregating":
                self.client.sadd(queue.groups, group)
                self.client.zadd(queue.group(group), {task_id: int(self.now)})
            case "archived":
                self.client.zadd(queue.archived, {task_id: int(self.now) - 60})
            case _:
                self.client.zadd(queue.base + state, {task_id: int(self.now) + 60})

    def everything(self) -> dict[bytes, bytes | None]:
        """The whole database, to see that nothing changed."""
        return {key: self.client.dump(key) for key in self.client.scan_iter()}
