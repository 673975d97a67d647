"""The same queue in Redis: what is in it, and how to let time pass there."""

import re
from typing import Any

import redis

from rota.broker import SyncBroker
from rota.wire.attempts import records
from rota.wire.group import AggregationSet, failures_key, spent_key
from rota.wire.message import unpack
from rota.wire.sweep import trimmed_key
from tests.model.queue.queue import Queue
from tests.model.queue.task import NOW

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

    def wait_for_another_millisecond(self) -> None:
        """Groups are ordered by the millisecond, so tasks of different steps must not join in the same one."""
        seconds, micros = self.redis.time()
        while self.redis.time() < (seconds, micros // 1000 * 1000 + 1000):
            pass

    def move(self, place: str, member: str, score: float) -> None:
        self.redis.zadd(self.keys.base + place, {member: score}, xx=True)

    def order(self, place: str) -> list[str]:
        return [task_id.decode() for task_id in self.redis.zrange(self.keys.base + place, 0, -1)]

    def message(self, task_id: str) -> bytes:
        return self.redis.hget(self.keys.task(task_id), "msg") or b""

    def set_key(self, name: str, group: str) -> str:
        return AggregationSet(self.keys, group, name).key

    def compare(self, model: Queue) -> None:
        """Fail with the first difference between Redis and the model."""
        found = self._read()
        self._compare_places(found, model)
        self._compare_groups(found, model)
        self._compare_hashes(found, model)
        locks = {name: value.decode() for name, value in found.items() if ":unique:" in name}
        assert locks == model.locks, "locks"
        assert all(holder in model.tasks for holder in locks.values()), "an orphaned lock"
        self._compare_counters(found, model)
        stray = set(found) - self._known(model)
        counted = (*self._counters(model), self.keys.minute_prefix)
        stray = {name for name in stray if not name.startswith(counted)}
        assert not stray, f"stray keys {sorted(stray)}"

    def _known(self, model: Queue) -> set[str]:
        keys = self.keys
        known = {keys.task(task_id) for task_id in model.tasks} | set(model.locks)
        known |= {keys.base + place for place in ("pending", "active", "lease", "groups", "paused", *SETS)}
        known |= {keys.aggregation_sets, spent_key(keys), failures_key(keys), keys.repaired, keys.pause}
        known |= {keys.group(group) for group in model.groups()}
        known |= {self.set_key(name, each.group) for name, each in model.sets.items()}
        return known

    def _counters(self, model: Queue) -> dict[str, int]:
        return {
            self.keys.processed: model.processed,
            self.keys.failed: model.failed,
            self.keys.crashed: model.crashed,
            trimmed_key(self.keys): model.trimmed,
        }

    def _compare_counters(self, found: dict[str, Any], model: Queue) -> None:
        for name, number in self._counters(model).items():
            assert int(found.get(name, 0)) == number, name
            day = re.compile(re.escape(name) + r":\d{4}-\d\d-\d\d")
            days = [int(value) for key, value in found.items() if day.fullmatch(key)]
            assert sum(days) == (0 if name == trimmed_key(self.keys) else number), name
        repaired = {kind: int(number) for kind, number in found.get(self.keys.repaired, {}).items()}
        assert repaired == +model.repaired, "repairs"
        failures = {group: int(number) for group, number in found.get(failures_key(self.keys), {}).items()}
        assert failures == +model.failures, "failed aggregations in a row"
        self._compare_minutes(found, model)

    def _compare_minutes(self, found: dict[str, Any], model: Queue) -> None:
        """The scripts are run without the counts of workers, so only crashes and ends without a run are counted."""
        minutes = [value for name, value in found.items() if name.startswith(self.keys.minute_prefix)]
        total, latest = (found.get(f"{self.keys.minute_prefix}{name}", {}) for name in ("total", "open"))
        for some in ([total, latest], [each for each in minutes if each is not total]):
            crashed = [value for each in some for name, value in each.items() if name.startswith("crashed")]
            assert sum(map(int, crashed)) == model.crashed, "crashes by minute"
        assert int(total.get("without_runs_processed", 0)) <= model.processed, "ends without a run"

    def _compare_places(self, found: dict[str, Any], model: Queue) -> None:
        base = self.keys.base
        assert found.get(base + "pending", []) == model.pending, "the order of pending"
        assert found.get(base + "active", []) == model.active, "the order of active"
        assert (base + "paused" in found) == model.paused, "paused"
        leases = found.get(base + "lease", {})
        assert set(leases) == set(model.active), "a lease for each active task, and no other"
        for task_id, score in leases.items():
            assert (score < NOW) == (task_id in model.dead), f"whether the lease of {task_id} has run out"
            assert (score % 1 == 0) == model.tasks[task_id].go, f"whose lease that of {task_id} is"
        for state in SETS:
            scores = found.get(base + state, {})
            assert sorted(scores) == model.ids(state), state
            for task_id, score in scores.items():
                if state != "archived":
                    assert (score < NOW) == (model.tasks[task_id].at < NOW), f"when {task_id} is due"

    def _compare_groups(self, found: dict[str, Any], model: Queue) -> None:
        assert found.get(self.keys.groups, set()) == model.groups() - model.nameless, "groups"
        for name in model.groups():
            assert list(found[self.keys.group(name)]) == model.members(name), f"group {name}"
        late = {self.set_key(name, each.group): each.state == "late" for name, each in model.sets.items()
                if each.state != "spent"}  # fmt: skip
        listed = {name: score < NOW for name, score in found.get(self.keys.aggregation_sets, {}).items()}
        assert listed == late, "sets under aggregation, and which are late"
        spent = {self.set_key(name, each.group) for name, each in model.sets.items() if each.state == "spent"}
        assert found.get(spent_key(self.keys), set()) == spent, "sets that are over"
        for name, each in model.sets.items():
            members = list(found.get(self.set_key(name, each.group), {}))
            assert members == model.members_of_set(name), f"set {name}"

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
            assert row.get("rota_explicit", b"").decode() == task.explicit, f"explicit options of {task_id}"
            known = records(row.get("rota_attempts", b""))
            assert tuple(each.get("worker") for each in known) == task.attempts, f"attempts of {task_id}"
            assert [each["n"] for each in known] == [n + 1 for n in range(len(known))], f"numbers of {task_id}"
            assert row.get("rota_end", b"").decode() == task.end, f"end of {task_id}"
            waits = task.state == "pending" and task.dated
            assert ("pending_since" in row) == waits, f"pending_since of {task_id}"
            assert row.get("group", b"").decode() == task.group, f"group of {task_id}"
            assert row.get("rota_sent", b"").decode() in ("", task.mark, task_id), f"request that wrote {task_id}"

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
