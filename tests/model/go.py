"""A Go server, as Asynq's own scripts move tasks. They know nothing of tokens, nor of what Rota adds to a task's hash.

Command by command: nobody else is there in a test. `asynq-wire` says the same in words.
"""

import time

import redis

from rota.wire.keys import QueueKeys

LEASE_SECONDS = 30


class GoServer:
    def __init__(self, client: "redis.Redis", keys: QueueKeys) -> None:
        self._redis = client
        self._keys = keys

    def dequeue(self) -> str | None:
        keys = self._keys
        if self._redis.exists(keys.paused) or not (task_id := self._redis.rpoplpush(keys.pending, keys.active)):
            return None
        key = keys.task(task_id.decode())
        self._redis.hset(key, "state", "active")
        self._redis.hdel(key, "pending_since")
        self._redis.zadd(keys.lease, {task_id: self._lease_end()})
        return task_id.decode()

    def extend_leases(self, task_ids: list[str]) -> None:
        self._redis.zadd(self._keys.lease, dict.fromkeys(task_ids, self._lease_end()), xx=True)

    def done(self, task_id: str, lock: str) -> bool:
        if not self._leave_active(task_id):
            return False
        self._redis.delete(self._keys.task(task_id))
        self._count(failed=False)
        self._unlock(lock, task_id)
        return True

    def complete(self, task_id: str, lock: str) -> bool:
        if not self._move(task_id, "completed", int(time.time()) + 3600):
            return False
        self._count(failed=False)
        self._unlock(lock, task_id)
        return True

    def retry(self, task_id: str) -> bool:
        if not self._move(task_id, "retry", int(time.time()) + 3600):
            return False
        self._count(failed=True)
        return True

    def archive(self, task_id: str) -> bool:
        if not self._move(task_id, "archived", int(time.time())):
            return False
        self._count(failed=True)
        return True

    def requeue(self, task_id: str) -> bool:
        if not self._leave_active(task_id):
            return False
        self._redis.rpush(self._keys.pending, task_id)
        self._redis.hset(self._keys.task(task_id), "state", "pending")
        return True

    def recover(self) -> list[str]:
        """A lost worker is a failure of its task, whoever's it was."""
        over = self._redis.zrange(self._keys.lease, "-inf", int(time.time()) - 30, byscore=True)  # type: ignore[call-overload]
        return [task_id.decode() for task_id in over if self.retry(task_id.decode())]

    def forward(self) -> None:
        """`groups` is left as it is."""
        for source in (self._keys.scheduled, self._keys.retry):
            now = self._now()
            for task_id in self._redis.zrange(source, "-inf", now, byscore=True):  # type: ignore[call-overload]
                key = self._keys.task(task_id.decode())
                group = self._redis.hget(key, "group")
                self._redis.zrem(source, task_id)
                if group:
                    # By whole seconds, which tell no order: a test must be the same at any time.
                    self._redis.zadd(self._keys.group(group.decode()), {task_id: now})
                    self._redis.hset(key, "state", "aggregating")
                else:
                    self._redis.lpush(self._keys.pending, task_id)
                    self._redis.hset(key, mapping={"state": "pending", "pending_since": time.time_ns()})

    def reclaim_sets(self) -> None:
        """`groups` is left as it is here too."""
        sets = self._keys.aggregation_sets
        for name in self._redis.zrange(sets, "-inf", int(time.time()), byscore=True):  # type: ignore[call-overload]
            members = self._redis.zrange(name, 0, -1, withscores=True)
            if members:
                self._redis.zadd(name.rpartition(b":")[0], dict(members))
            self._redis.delete(name)
            self._redis.zrem(sets, name)

    def _leave_active(self, task_id: str) -> bool:
        removed = self._redis.lrem(self._keys.active, 0, task_id)
        return bool(removed and self._redis.zrem(self._keys.lease, task_id))

    def _move(self, task_id: str, state: str, score: int) -> bool:
        if not self._leave_active(task_id):
            return False
        self._redis.zadd(self._keys.base + state, {task_id: score})
        self._redis.hset(self._keys.task(task_id), "state", state)
        return True

    def _count(self, *, failed: bool) -> None:
        day = time.strftime("%Y-%m-%d", time.gmtime(self._now()))
        for name in (self._keys.processed, self._keys.failed)[: 1 + failed]:
            self._redis.incr(name)
            self._redis.incr(f"{name}:{day}")

    def _unlock(self, lock: str, task_id: str) -> None:
        if lock and self._redis.get(lock) == task_id.encode():
            self._redis.delete(lock)

    def _lease_end(self) -> int:
        return int(time.time()) + LEASE_SECONDS

    def _now(self) -> float:
        seconds, micros = self._redis.time()
        return float(seconds) + float(micros) / 1e6
