"""The same queue in Redis: what is in it, and how to let time pass there."""

import re
from typing import Any

import redis

from rota.broker import SyncBroker
from rota.wire.janitor import trimmed_key
from rota.wire.message import unpack
from tests.model.queue import NOW, Queue

SETS = ("scheduled", "retry", "archived", "completed")


class World:
    """One database. Time passes by moving scores: nothing else tells the scripts that it did."""

    def __init__(self, url: str) -> None:
        self.broker = SyncBroker.from_url(url)
        self.redis = redis.Redis.from_url(url)
        self.keys = self.broker.keys.queue("q")
        self._instant = NOW - 1e6

    def close(self) -> None:
        self.broker.close()
        self.redis.close()

    def past(self) -> float:
        """An instant that is over; each later than the one before."""
        self._instant += 1
        return self._instant

    def move(self, place: str, task_id: str, score: float) -> None:
        self.redis.zadd(self.keys.base + place, {task_id: score}, xx=True)

    def order(self, place: str) -> list[str]:
        return [task_id.decode() for task_id in self.redis.zrange(self.keys.base + place, 0, -1)]

    def message(self, task_id: str) -> bytes:
        return self.redis.hget(self.keys.task(task_id), "msg") or b""

    def compare(self, model: Queue) -> None:
        """Fail with the first difference between Redis and the model."""
        found = self._read()
        self._compare_places(found, model)
        self._compare_hashes(found, model)
        locks = {name: value.decode() for name, value in found.items() if ":unique:" in name}
        assert locks == model.locks, "locks"
        assert all(holder in model.tasks for holder in locks.values()), "an orphaned lock"
        counters = {
            self.keys.processed: model.processed,
            self.keys.failed: model.failed,
            self.keys.crashed: model.crashed,
            trimmed_key(self.keys): model.trimmed,
        }
        for name, number in counters.items():
            assert int(found.get(name, 0)) == number, name
            days = [
                int(value) for key, value in found.items() if re.fullmatch(re.escape(name) + r":\d{4}-\d\d-\d\d", key)
            ]
            assert sum(days) == (0 if name == trimmed_key(self.keys) else number), name
        known = {self.keys.task(task_id) for task_id in model.tasks} | set(locks)
        known |= {self.keys.base + place for place in ("pending", "active", "lease", "groups", *SETS)}
        known |= {self.keys.group(task.group) for task in model.tasks.values() if task.state == "aggregating"}
        stray = {name for name in found if name not in known and not name.startswith(tuple(counters))}
        stray -= {name for name in stray if ":sent:" in name}
        repaired = found.get(self.keys.repaired, {})
        assert int(repaired.get("expired_lease", 0)) == model.recovered, "attempts that were recovered"
        stray.discard(self.keys.repaired)
        assert not stray, f"stray keys {sorted(stray)}"

    def _compare_places(self, found: dict[str, Any], model: Queue) -> None:
        base = self.keys.base
        assert found.get(base + "pending", []) == model.pending, "the order of pending"
        active = found.get(base + "active", [])
        assert sorted(active) == sorted(model.ids("active")), "active"
        assert set(found.get(base + "lease", {})) == set(active), "a lease for each active task, and no other"
        for state in SETS:
            scores = found.get(base + state, {})
            assert set(scores) == model.ids(state), state
            for task_id, score in scores.items():
                if state in ("scheduled", "retry", "completed"):
                    assert (score < NOW) == (model.tasks[task_id].at < NOW), f"when {task_id} is due"
        groups: dict[str, set[str]] = {}
        for task in model.tasks.values():
            if task.state == "aggregating":
                groups.setdefault(task.group, set()).add(task.id)
        assert found.get(base + "groups", set()) == set(groups), "groups"
        for name, members in groups.items():
            assert set(found[self.keys.group(name)]) == members, f"group {name}"

    def _compare_hashes(self, found: dict[str, Any], model: Queue) -> None:
        prefix = self.keys.task_prefix
        hashes = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
        assert set(hashes) == set(model.tasks), "hashes"
        for task_id, row in hashes.items():
            task, message = model.tasks[task_id], unpack(row["msg"])
            assert row["state"].decode() == task.state, f"state of {task_id}"
            assert (message.id, message.payload, message.unique_key) == (task_id, task.payload, task.lock), task_id
            assert row.get("rota_token", b"").decode() == task.token, f"token of {task_id}"
            assert ("rota_cancel" in row) == task.cancel, f"request to cancel {task_id}"
            assert int(row.get("rota_crashes", 0)) == task.crashes, f"crashes of {task_id}"
            assert row.get("rota_end", b"").decode() == task.end, f"end of {task_id}"
            assert ("pending_since" in row) == (task.state == "pending"), f"pending_since of {task_id}"
            assert row.get("group", b"").decode() == task.group, f"group of {task_id}"

    def _read(self) -> dict[str, Any]:
        names = [name.decode() for name in self.redis.keys("*")]
        pipe = self.redis.pipeline(transaction=False)
        for name in names:
            pipe.type(name)
        kinds = pipe.execute()
        for name, kind in zip(names, kinds, strict=True):
            match kind:
                case b"string":
                    pipe.get(name)
                case b"list":
                    pipe.lrange(name, 0, -1)
                case b"zset":
                    pipe.zrange(name, 0, -1, withscores=True)
                case b"set":
                    pipe.smembers(name)
                case _:
                    pipe.hgetall(name)
        return dict(zip(names, map(_text, pipe.execute()), strict=True))


def _text(value: Any) -> Any:
    if isinstance(value, list):
        if value and isinstance(value[0], tuple | list):
            return {member.decode(): score for member, score in value}
        return [word.decode() for word in value]
    if isinstance(value, set):
        return {word.decode() for word in value}
    return {name.decode(): word for name, word in value.items()} if isinstance(value, dict) else value
