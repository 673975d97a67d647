"""A ledger and a database to plant faults in, which the checker has to find."""

import time
from pathlib import Path
from typing import Any

import redis

from tests.crash import keyspace
from tests.crash.checker import Verdict, check
from tests.crash.ledger import Ledger


def message(type: str = "t", retry: int = 0, retried: int = 0) -> bytes:
    """A message of Asynq by hand: type, retries allowed, retries so far."""
    return bytes((10, len(type), *type.encode(), 40, retry, 48, retried))


class Plant:
    """A ledger and a database in which all is well, to be spoiled."""

    def __init__(self, folder: Path, url: str) -> None:
        self.ledger = Ledger(folder)
        self.write = self.ledger.writer()
        self.redis = redis.Redis.from_url(url)
        self.now = time.monotonic()

    def line(self, what: str, at: float, **more: object) -> None:
        self.write(what, **{"at": self.now + at, **more})

    def accepted(self, *tasks: str) -> None:
        for task in tasks:
            self.line("accepted", 0, task=task, queue="q")

    def ready(self, at: float = 0, *, pid: int = 1, slots: int = 1, queues: str = "q", types: str = "t") -> None:
        words = {"queues": queues.split(), "types": types.split(), "silence": 20, "url": "redis://here"}
        self.line("ready", at, pid=pid, slots=slots, **words)

    def run(
        self,
        task: str,
        start: float,
        end: float | None,
        pid: int = 1,
        how: str = "ok",
        retried: int = 0,
        type: str = "t",
    ) -> None:
        run = f"{task}{start}{pid}"
        self.line("start", start, task=task, run=run, pid=pid, retried=retried, type=type)
        if end is not None:
            self.line("end", end, task=task, run=run, pid=pid, how=how)

    def store(self, task: str, state: str, place: str | None = None, **fields: str | bytes) -> None:
        self.redis.hset(f"asynq:{{q}}:t:{task}", mapping={"state": state, "msg": message(), **fields})
        key = f"asynq:{{q}}:{place or state}"
        if state in ("pending", "active"):
            self.redis.lpush(key, task)
        else:
            self.redis.zadd(key, {task: 1})
        if state == "active":
            self.redis.zadd("asynq:{q}:lease", {task: 1})

    def count(self, **counters: int) -> None:
        for name, value in counters.items():
            self.redis.set(f"asynq:{{q}}:{name}", value)

    def check(self, **words: Any) -> Verdict:
        return check(self.ledger.read(), keyspace.read(self.redis), **words)
