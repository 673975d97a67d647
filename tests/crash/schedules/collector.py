"""Takes tasks out of the queues, with a plain client and a script of its own, or only looks at them at the end.

A task that is taken is deleted at once, as if its retention were over, so that nothing but the fences of the scheduler
keeps the same planned time from being enqueued again.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress

import redis

from tests.crash.schedules.checker import Enqueued

_TAKE = """
local found = {}
local ids = redis.call('RPOP', KEYS[1], ARGV[2]) or {}
for _, id in ipairs(ids) do
  local task = redis.call('HMGET', ARGV[1] .. id, 'msg', 'pending_since')
  redis.call('DEL', ARGV[1] .. id)
  found[#found + 1] = { id, task[1], task[2] }
end
return found
"""
_LOOK = """
local found = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], ARGV[2], ARGV[3])) do
  local task = redis.call('HMGET', ARGV[1] .. id, 'msg', 'pending_since')
  found[#found + 1] = { id, task[1], task[2] }
end
return found
"""
AT_ONCE = 500
PAUSE_SECONDS = 0.03
_VERSION = re.compile(rb'"v": ?(\d+)')


class Collector:
    """Takes tasks in a thread of its own, until it is stopped."""

    def __init__(self, client: redis.Redis, queues: Sequence[str]) -> None:
        self.found: list[Enqueued] = []
        self._client = client
        self._queues = queues
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> list[Enqueued]:
        """Take what is left, and return all tasks."""
        self._stop.set()
        self._thread.join()
        while self._turn():
            pass
        return self.found

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            with suppress(redis.RedisError):
                self._turn()

    def _turn(self) -> int:
        before = len(self.found)
        for queue in self._queues:
            reply = self._client.eval(_TAKE, 1, f"asynq:{{{queue}}}:pending", f"asynq:{{{queue}}}:t:", AT_ONCE)
            self.found += _tasks(queue, reply)
        return len(self.found) - before


def look(client: redis.Redis, queues: Sequence[str]) -> Iterator[Enqueued]:
    """Yield all tasks that wait in the queues, and leave them there."""
    for queue in queues:
        key, start = f"asynq:{{{queue}}}:pending", 0
        while reply := client.eval(_LOOK, 1, key, f"asynq:{{{queue}}}:t:", start, start + AT_ONCE - 1):
            yield from _tasks(queue, reply)
            start += AT_ONCE


def _tasks(queue: str, reply: list[list[bytes]]) -> Iterator[Enqueued]:
    for task_id, message, since in reply:
        name = task_id.decode()
        schedule, _, planned = name.rpartition("-")
        version = _VERSION.search(message or b"")
        yield Enqueued(name, schedule, int(planned), queue, int(version[1]) if version else -1, int(since or 0) / 1e9)
