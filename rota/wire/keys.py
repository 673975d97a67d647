"""All Redis keys: those of Asynq (`internal/base/base.go`) with its uniqueness locks, and the few that only Rota has.

Keys that only Rota has are made by `own`. Beside Asynq's keys they begin with `rota:`, so that no Go program sees them.
"""

from functools import cached_property
from hashlib import md5, sha256


class QueueKeys:
    """The keys of one queue. All have the queue's hash tag, so they are on one node of a Cluster."""

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
        """Lifetime count of processed tasks; the key with `:YYYY-MM-DD` (UTC) counts one day."""
        return self.base + "processed"

    @cached_property
    def failed(self) -> str:
        """Lifetime count of failures; the key with `:YYYY-MM-DD` (UTC) counts one day."""
        return self.base + "failed"

    @cached_property
    def groups(self) -> str:
        """The set of group names."""
        return self.base + "groups"

    @cached_property
    def aggregation_sets(self) -> str:
        """Sorted set of the keys of sets under aggregation, scored by deadline."""
        return self.base + "aggregation_sets"

    @cached_property
    def crashed(self) -> str:
        """Lifetime count of crashes; the key with `:YYYY-MM-DD` (UTC) counts one day. Only in Rota."""
        return self.own("crashed")

    @cached_property
    def minute_prefix(self) -> str:
        """The beginning of the keys of counts: `total`, `open` or a minute since 1970 follows it. Only in Rota."""
        return self.own("minute:")

    @cached_property
    def repaired(self) -> str:
        """Hash that counts the repairs of sweeps by kind. Only in Rota."""
        return self.own("sweep")

    @cached_property
    def pause(self) -> str:
        """The record of who paused the queue for whom and why. Only in Rota; workers obey `paused`."""
        return self.own("pause")

    def tasks_in(self, state: str, group: str = "") -> str:
        """The list or sorted set of the tasks in a state; of aggregating ones, that of their group."""
        return self.group(group) if state == "aggregating" else self.base + state

    def group(self, name: str) -> str:
        """Sorted set of the tasks in one group, scored by the time at which they joined it."""
        return f"{self.base}g:{name}"

    def own(self, name: str) -> str:
        """A key of this queue that only Rota has. It has the queue's hash tag, so it is on the same node."""
        return f"rota:{{{self.queue}}}:{name}" if self.base.startswith("asynq:") else f"{self.base}rota:{name}"

    @cached_property
    def ended_prefix(self) -> str:
        """The beginning of the channels that `ended` returns. Scripts add the ID of each task."""
        return self.own("ended:")

    def ended(self, task_id: str) -> str:
        """The channel that announces the end of a task to callers that wait for its result."""
        return self.ended_prefix + task_id


class Keys:
    """The keys that do not belong to a queue, and the `QueueKeys` of each queue.

    `prefix` is Asynq's own by default. With another prefix the queues are separate, and Go programs do not see them.
    """

    def __init__(self, prefix: str = "asynq") -> None:
        self.prefix = prefix
        self.queues = f"{prefix}:queues"
        self.servers = f"{prefix}:servers"
        self.workers = f"{prefix}:workers"
        self.cancel = f"{prefix}:cancel"
        # Has the name of the list of servers as its hash tag, so that one script can write both on a Cluster.
        self.types = self.own(f"{{{self.servers}}}:types")
        self._queues: dict[str, QueueKeys] = {}

    def own(self, name: str) -> str:
        """A key that only Rota has and that does not belong to a queue."""
        return f"rota:{name}" if self.prefix == "asynq" else f"{self.prefix}:rota:{name}"

    def published_types(self, digest: str) -> str:
        """The record of the task types that some servers handle, on the same node as `servers` and `types`."""
        return f"{self.types}:{digest}"

    def queue(self, name: str) -> QueueKeys:
        """The keys of one queue (cached)."""
        keys = self._queues.get(name)
        if keys is None:
            keys = self._queues[name] = QueueKeys(name, self.prefix)
        return keys

    def server(self, host: str, pid: int, server_id: str) -> str:
        """The key of the record of one server."""
        return f"{self.prefix}:servers:{{{host}:{pid}:{server_id}}}"

    def worker(self, host: str, pid: int, server_id: str) -> str:
        """The key of the tasks that one server runs. It has the same hash tag as the server's record."""
        return f"{self.prefix}:workers:{{{host}:{pid}:{server_id}}}"

    def orders(self, host: str, pid: int, server_id: str) -> str:
        """The key of the orders to one server. It has the same hash tag as the server's record. Only in Rota."""
        return self.own(f"orders:{{{host}:{pid}:{server_id}}}")

    def about(self, host: str, pid: int, server_id: str) -> str:
        """The key of what one server tells about itself, with the same hash tag as its record. Only in Rota."""
        return self.own(f"about:{{{host}:{pid}:{server_id}}}")


def unique_key(keys: QueueKeys, type: str, payload: bytes | None) -> str:
    """Return the key of the lock that Go takes for the same queue, type and payload.

    No payload (None) and an empty payload have different locks, as in Go, although the stored messages are the same.
    """
    digest = "" if payload is None else md5(payload, usedforsecurity=False).hexdigest()
    return f"{keys.base}unique:{type}:{digest}"


def own_unique_key(keys: QueueKeys, type: str, key: str) -> str:
    """Return the key of the lock for a key that the caller chose.

    The caller's key is hashed because types may contain colons: otherwise type `a` with key `b:c` would have the same
    lock as type `a:b` with key `c`. SHA-256 is used because its length differs from the MD5 in the lock of a payload.
    """
    return f"{keys.base}unique:{type}:{sha256(key.encode()).hexdigest()}"
