"""Every Redis key, in one place: Asynq's (`internal/base/base.go`), its uniqueness locks, and the few of our own."""

from functools import cached_property
from hashlib import md5, sha256


class QueueKeys:
    """The keys of one queue. All carry the queue's hash tag, so they live on one Cluster node."""

    def __init__(self, queue: str, prefix: str = "asynq") -> None:
        self.queue = queue
        self.base = base = f"{prefix}:{{{queue}}}:"
        self.pending = base + "pending"
        self.active = base + "active"
        self.lease = base + "lease"
        self.scheduled = base + "scheduled"
        self.retry = base + "retry"
        self.archived = base + "archived"
        self.completed = base + "completed"
        self.paused = base + "paused"
        self.task_prefix = base + "t:"

    def task(self, task_id: str) -> str:
        """The hash of one task."""
        return self.task_prefix + task_id

    @cached_property
    def processed(self) -> str:
        """Lifetime count of processed tasks; `processed:YYYY-MM-DD` (UTC) counts one day."""
        return self.base + "processed"

    @cached_property
    def failed(self) -> str:
        """Lifetime count of failures; `failed:YYYY-MM-DD` (UTC) counts one day."""
        return self.base + "failed"

    @cached_property
    def groups(self) -> str:
        """The set of group names."""
        return self.base + "groups"

    @cached_property
    def aggregation_sets(self) -> str:
        """Full key names of the sets under aggregation, scored by deadline."""
        return self.base + "aggregation_sets"

    @cached_property
    def crashed(self) -> str:
        """Lifetime count of runs that took their worker down; `rota:{q}:crashed:YYYY-MM-DD` counts one day."""
        return self.own("crashed")

    @cached_property
    def repaired(self) -> str:
        """What sweeps have repaired, by kind (our own)."""
        return self.own("sweep")

    def group(self, name: str) -> str:
        """The tasks that wait in one group, scored by the time they joined."""
        return f"{self.base}g:{name}"

    def own(self, name: str) -> str:
        """A key that Asynq does not know. It shares the hash tag and nothing else."""
        return f"rota:{{{self.queue}}}:{name}" if self.base.startswith("asynq:") else f"{self.base}rota:{name}"

    def ended(self, task_id: str) -> str:
        """The channel on which the end of a task that somebody waits for is announced."""
        return self.own(f"ended:{task_id}")


class Keys:
    """The keys that belong to no queue, and the keys of each queue.

    `prefix` is Asynq's own by default; another one makes a separate world that Go programs do not see.
    """

    def __init__(self, prefix: str = "asynq") -> None:
        self.prefix = prefix
        self.queues = f"{prefix}:queues"
        self.servers = f"{prefix}:servers"
        self.workers = f"{prefix}:workers"
        self.cancel = f"{prefix}:cancel"
        self._queues: dict[str, QueueKeys] = {}

    def own(self, name: str) -> str:
        """A key that Asynq does not know, and that belongs to no queue."""
        return f"rota:{name}" if self.prefix == "asynq" else f"{self.prefix}:rota:{name}"

    def queue(self, name: str) -> QueueKeys:
        """The keys of one queue (kept, so asking again is free)."""
        keys = self._queues.get(name)
        if keys is None:
            keys = self._queues[name] = QueueKeys(name, self.prefix)
        return keys

    def server(self, host: str, pid: int, server_id: str) -> str:
        """The record of one server."""
        return f"{self.prefix}:servers:{{{host}:{pid}:{server_id}}}"

    def worker(self, host: str, pid: int, server_id: str) -> str:
        """The record of the tasks one server runs. Shares its hash tag with the server's own record."""
        return f"{self.prefix}:workers:{{{host}:{pid}:{server_id}}}"


def unique_key(keys: QueueKeys, type: str, payload: bytes | None) -> str:
    """Return the lock that Go takes for the same queue, type and payload.

    No payload (None) and an empty one are different locks, as in Go, although the stored messages are the same.
    """
    digest = "" if payload is None else md5(payload, usedforsecurity=False).hexdigest()
    return f"{keys.base}unique:{type}:{digest}"


def own_unique_key(keys: QueueKeys, type: str, key: str) -> str:
    """Return the lock for a key that the caller chose.

    It is digested because types contain colons: written out, type `a` with key `b:c` would be type `a:b` with key
    `c`. SHA-256, so that by its length it is never the lock of a payload.
    """
    return f"{keys.base}unique:{type}:{sha256(key.encode()).hexdigest()}"
