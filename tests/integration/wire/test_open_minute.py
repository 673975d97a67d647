"""The open minute: its counts are added to the total when a later minute begins, whatever the server's clock does."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.broker import SyncBroker
from rota.wire import minute
from rota.wire.keys import QueueKeys
from rota.wire.minute import HOW, Counts, TypeCounts, added
from rota.wire.script import Argument, Script, load
from tests.servers import clients

CLOCK = """
local redis = setmetatable({
  call = function(name, ...)
    if name == 'TIME' then return { ARGV[#ARGV], '0' } end
    return redis.call(name, ...)
  end,
}, { __index = redis })
"""
"""The time is the last argument of the script."""
DAY = 24 * 60
SMALL = 4
ALL_COUNTS = ("n", *HOW, *(f"{letter}{bucket}" for letter in "wr" for bucket in range(len(minute.BOUNDS) + 1)))


@dataclass
class Bound:
    """The counts in one hash, which has room for a number of types."""

    room: int
    counts: TypeCounts = field(default_factory=lambda: TypeCounts({}, {}))

    def add(self, batch: dict[str, Counts]) -> None:
        by_type = self.counts.by_type
        for type, counts in batch.items():
            if type in by_type or (len(by_type) < self.room and len(type) <= minute.LONGEST_TYPE):
                by_type[type] = added([by_type.get(type, {}), counts])
            else:
                self.counts = TypeCounts(by_type, added([self.counts.others, counts]))


class Counter:
    """Counts batches in a queue at any time. If `small`, the limits of the script are so low that tests reach them."""

    def __init__(self, url: str) -> None:
        self.broker = SyncBroker.from_url(url)
        self.admin = clients.client(url)
        self.small = False
        self._numbers = itertools.count()
        self.new_queue()

    def new_queue(self) -> None:
        self.keys: QueueKeys = self.broker.keys.queue(f"q{next(self._numbers)}")

    def seconds(self) -> float:
        return self.broker.run(minute.look(self.keys, None, 1)).now

    def now(self) -> int:
        return int(self.seconds() // 60)

    def key(self, name: object) -> str:
        return f"{self.keys.minute_prefix}{name}"

    def names(self) -> set[str]:
        """Return the ends of the keys that exist, without their prefix."""
        found = self.admin.scan_iter(f"{self.keys.minute_prefix}*")
        return {name.decode().removeprefix(self.keys.minute_prefix) for name in found}

    def folding(self) -> int | None:
        """The minute whose counts are being added to the total."""
        [_, *rest] = self.admin.hget(self.key("open"), "minute").split()
        return int(rest[0]) if rest else None

    def count(self, number: int, batch: dict[str, Counts], *, begins: bool = True) -> None:
        """Count at the end of minute `number`. If not `begins`, the script may not open a minute, as after a crash."""
        words: list[Argument] = [
            word for type, counts in batch.items() for name, n in counts.items() for word in (f"{name}:{type}", n)
        ]
        call = minute.add(self.keys, words)
        script = Script.of("minute_add", self._source(begins).encode())
        assert self.broker.run(replace(call, script=script, args=(*call.args, number * 60 + 59))) == 1

    def _source(self, begins: bool) -> str:
        source = CLOCK + load("minute_add").source.decode()
        if not begins:
            source = replaced(source, "begin_minute, counts_of", "nil, counts_of")
        if self.small:
            source = replaced(source, "MINUTE_SECONDS = 100,", f"MINUTE_SECONDS = {SMALL},")
            source = replaced(source, "UNFOLDED_SECONDS = 1000, 10,", "UNFOLDED_SECONDS = 8, 1,")
        return source

    def totals(self) -> TypeCounts:
        return self.broker.run(minute.look_total(self.keys)).counts

    def of_minute(self, number: int) -> TypeCounts:
        return self.broker.run(minute.look(self.keys, number, 1)).counts[number]

    def close(self) -> None:
        self.broker.close()
        self.admin.close()


def replaced(source: str, old: str, new: str) -> str:
    assert source.count(old) == 1, old
    return source.replace(old, new)


def runs(number: int) -> Counts:
    return {"n": number, "succeeded": number}


@pytest.fixture
def counter(any_url: str) -> Iterator[Counter]:
    counter = Counter(any_url)
    yield counter
    counter.close()


def test_minute_is_open_until_a_later_one_begins_and_is_kept_for_two_hours_after_its_end(counter: Counter) -> None:
    now = counter.now()
    counter.count(now, {"t": runs(1)})
    counter.count(now, {"t": runs(2)})
    assert counter.names() == {"open", "total"}
    assert counter.of_minute(now).by_type == {"t": runs(3)}
    counter.count(now + 1, {"t": runs(4)})
    assert counter.names() == {"open", "total", str(now)}
    end = (now + 1) * 60
    assert end + 7200 - counter.seconds() - 1 <= counter.admin.ttl(counter.key(now)) <= 60 + 7200
    assert counter.admin.ttl(counter.key("open")) == counter.admin.ttl(counter.key("total")) == -1
    assert (counter.of_minute(now).by_type, counter.of_minute(now + 1).by_type) == ({"t": runs(3)}, {"t": runs(4)})
    assert counter.totals() == TypeCounts({"t": runs(7)}, {})


def test_batch_of_the_open_minute_writes_one_hash(counter: Counter) -> None:
    now = counter.now()
    counter.count(now, {"t": runs(1)})
    before = counter.admin.hgetall(counter.key("total"))
    counter.count(now, {"t": runs(1)})
    assert counter.admin.hgetall(counter.key("total")) == before == {b"types": b"1", b"n:t": b"0"}


def test_counts_of_a_queue_that_is_idle_for_days_are_in_the_total(counter: Counter) -> None:
    now = counter.now()
    counter.count(now - 3 * DAY, {"t": runs(5)})
    assert counter.totals().by_type == {"t": runs(5)}
    counter.count(now, {"t": runs(1)})
    assert counter.totals().by_type == {"t": runs(6)}
    assert counter.names() == {"open", "total"}


@pytest.mark.parametrize("back", [1, 2, 30])
def test_counts_are_in_their_minute_and_once_in_the_total_if_the_clock_is_set_back(counter: Counter, back: int) -> None:
    now = counter.now()
    numbers = (now, now - back, now - back + 1, now, now + 1, now, now - back, now + 1, now + 2, now + 1)
    for done, number in enumerate(numbers, 1):
        counter.count(number, {"t": runs(1)})
        assert counter.totals().by_type == {"t": runs(done)}
    for number in {*numbers}:
        assert counter.of_minute(number).by_type == {"t": runs(numbers.count(number))}


def test_minute_that_a_crash_has_counted_is_not_opened(counter: Counter) -> None:
    now = counter.now()
    for number, begins in ((now, True), (now + 1, False), (now + 1, True), (now + 2, True)):
        counter.count(number, {"t": runs(1)}, begins=begins)
    assert counter.totals().by_type == {"t": runs(4)}
    assert [counter.of_minute(now + later).by_type["t"]["n"] for later in range(3)] == [1, 2, 1]


@pytest.mark.parametrize("when", ["first", "later"])
def test_open_minute_of_the_wrong_type_is_left_out(counter: Counter, when: str) -> None:
    now = counter.now()
    if when == "later":
        counter.count(now - 1, {"t": runs(1)})
        counter.admin.delete(counter.key("open"))
    counter.admin.set(counter.key("open"), "mine")
    counter.count(now, {"t": runs(2)})
    assert counter.admin.get(counter.key("open")) == b"mine"
    counter.admin.delete(counter.key("open"))
    counter.count(now, {"t": runs(3)})
    counter.count(now + 1, {"t": runs(4)})
    assert counter.totals().by_type == {"t": runs(9)}
    assert (counter.of_minute(now).by_type, counter.of_minute(now + 1).by_type) == ({"t": runs(5)}, {"t": runs(4)})


def test_open_minute_is_added_to_a_total_of_the_wrong_type_once_that_is_gone(counter: Counter) -> None:
    now = counter.now()
    counter.admin.set(counter.key("total"), "mine")
    for later in range(3):
        counter.count(now + later, {"t": runs(1)})
    assert counter.admin.get(counter.key("total")) == b"mine"
    counter.admin.delete(counter.key("total"))
    assert counter.totals().by_type == {
        "t": runs(2)
    }  # the third minute could not be opened, and is only in its own hash
    counter.count(now + 3, {"t": runs(1)})
    assert counter.totals().by_type == {"t": runs(3)}
    assert counter.of_minute(now + 2).by_type == {"t": runs(1)}


def test_minute_of_the_wrong_type_is_counted_in_the_total(counter: Counter) -> None:
    now = counter.now()
    counter.count(now, {"t": runs(1)})
    counter.admin.set(counter.key(now + 1), "mine")
    counter.count(now + 1, {"t": runs(1)})
    assert counter.totals().by_type == {"t": runs(2)}
    assert counter.admin.get(counter.key(now + 1)) == b"mine"
    counter.admin.set(counter.key(now), "mine")
    counter.count(now + 2, {"t": runs(1)})
    assert counter.totals().by_type == {"t": runs(3)}


def test_large_minute_is_added_in_parts_and_is_in_the_total_once_at_each_moment(counter: Counter) -> None:
    now = counter.now()
    batch = {f"type:{number}": dict.fromkeys(ALL_COUNTS, number + 1) for number in range(25)}
    for type, counts in batch.items():
        counter.count(now, {type: counts})
    seen = list[int | None]()
    for done, number in enumerate((now + 1, now, now + 1, now + 2), 1):
        counter.count(number, {"type:24": {"n": 1}})
        found = counter.totals().by_type
        assert found["type:24"].pop("n") == 25 + done
        assert found == batch | {"type:24": {name: 25 for name in ALL_COUNTS if name != "n"}}
        seen.append(counter.folding())
        assert counter.admin.ttl(counter.key(now)) > (7260 if seen[-1] else 0)
    assert seen == [now, now, None, None]
    assert counter.admin.ttl(counter.key(now)) <= 7260
    assert counter.of_minute(now).by_type == batch  # without the second call, which was made while the minute was added
    assert [counter.of_minute(now + later).by_type["type:24"] for later in (1, 2)] == [{"n": 2}, {"n": 1}]


def some_counts(n: int, failed: int, waits: int) -> Counts:
    return {name: number for name, number in (("n", n), ("failed", failed), ("w52", waits)) if number}


COUNTS = st.builds(some_counts, st.integers(1, 9), st.integers(0, 2), st.integers(0, 2))
BATCH = st.dictionaries(st.sampled_from([*"abcdef", "x" * 201]), COUNTS, min_size=1, max_size=4)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(-3, 3), BATCH, st.booleans()), min_size=1, max_size=14))
def test_total_and_open_minute_have_each_count_once_at_any_minute_of_the_clock(
    counter: Counter, steps: list[tuple[int, dict[str, Counts], bool]]
) -> None:
    counter.small = True
    counter.new_queue()
    now, total, minutes = counter.now(), Bound(SMALL), defaultdict[int, Bound](lambda: Bound(SMALL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minute, "MOST_TYPES", SMALL)
        for later, batch, begins in steps:
            counter.count(now + later, batch, begins=begins)
            total.add(batch)
            assert counter.totals() == total.counts
            if not counter.admin.exists(counter.key("open")) or counter.folding() != now + later:
                minutes[now + later].add(batch)
            for number, expected in minutes.items():
                assert counter.of_minute(number) == expected.counts
