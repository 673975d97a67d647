"""A task of the model. Instants are numbers: a task is due when its instant is below `NOW`."""

from dataclasses import dataclass
from typing import NamedTuple

NOW, FAR = 1_600_000_000.0, 4_000_000_000.0

LEFT_SCOPE = {
    "queued": {"active", "retry", "archived", "completed"},
    "running": {"archived", "completed"},
}


@dataclass
class Task:
    id: str
    payload: bytes
    state: str = "pending"
    lock: str = ""
    scope: str = "ttl"
    group: str = ""
    at: float = FAR
    token: str = ""
    cancel: bool = False
    crashes: int = 0
    end: str = ""
    attempts: tuple[str, ...] = ()
    """Who made the attempts that are recorded."""
    dated: bool = True
    """A pending one says since when. Asynq forgets it when it hands a task back."""
    go: bool = False
    """A Go server took it last."""
    joined: int = 0
    """When it joined its group."""
    set: str = ""
    """The aggregation that has it."""
    mark: str = ""
    """The request that added it, or gave it its message."""
    explicit: str = ""
    """Its options that were given although they are Asynq's defaults."""

    @property
    def has_left_its_scope(self) -> bool:
        return self.state in LEFT_SCOPE.get(self.scope, ())


@dataclass
class Set:
    """Tasks under aggregation: `open`, `late` (past its deadline) or `spent` (its result is enqueued)."""

    group: str
    state: str = "open"
    at: float = FAR


class Reply(NamedTuple):
    reason: str
    id: str
    state: str


def reply(reason: str, task: Task) -> Reply:
    return Reply(reason, task.id, task.state)
