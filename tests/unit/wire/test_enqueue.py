"""Calls that add tasks: their bytes, their arguments, and how replies are read."""

import itertools
import os
import threading
import time
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.errors import OptionError
from rota.wire import enqueue as wire
from rota.wire.enqueue import Envelope, Item, Reply, debounce, enqueue, enqueue_plain, new_task_id
from rota.wire.keys import QueueKeys
from rota.wire.proto import TaskMessage
from rota.wire.times import EPOCH

KEYS = QueueKeys("q")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(
    type=TEXT,
    payload=st.binary(max_size=300) | st.integers(120, 20_000).map(bytes),
    task_id=TEXT,
    max_retry=st.integers(0, 99),
    group=TEXT,
    lock=TEXT,
)
def test_a_sealed_envelope_has_the_bytes_of_a_packed_message(
    type: str, payload: bytes, task_id: str, max_retry: int, group: str, lock: str
) -> None:
    envelope = Envelope(type, queue="q", max_retry=max_retry, group=group, headers={"h": "w"})
    message = TaskMessage(
        type=type, payload=payload, id=task_id, queue="q", retry=max_retry, timeout=1800, group_key=group
    )
    message.unique_key = lock
    message.headers["h"] = "w"
    assert envelope.seal(payload, task_id.encode(), lock.encode()) == message.SerializeToString()


@given(
    headers=st.dictionaries(TEXT, TEXT, max_size=5),
    max_retry=st.integers(0, 2**31 - 1),
    seconds=st.integers(1, 10**13),
    deadline=st.datetimes(timezones=st.just(UTC)),
    retention=st.integers(0, 10**13),
)
def test_an_envelope_is_read_by_protobuf_as_it_was_written(
    headers: dict[str, str], max_retry: int, seconds: int, deadline: datetime, retention: int
) -> None:
    envelope = Envelope(
        "t",
        max_retry=max_retry,
        timeout=timedelta(seconds=seconds),
        deadline=deadline,
        retention=timedelta(seconds=retention),
        headers=headers,
    )

    task = TaskMessage.FromString(envelope.seal(b"", b"id"))

    assert dict(task.headers) == headers
    assert (task.retry, task.timeout, task.retention) == (max_retry, seconds, retention)
    assert task.deadline == ((deadline - EPOCH) // timedelta(seconds=1) or 1)
    assert task.ByteSize() == len(envelope.seal(b"", b"id"))


def test_a_sealed_envelope_has_the_bytes_that_go_writes() -> None:
    assert Envelope("t").seal(b"{}", b"id1").hex() == "0a017412027b7d1a03696431220764656661756c74281940880e"


def test_a_type_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(OptionError, match="valid UTF-8"):
        Envelope("\ud800")


def test_new_ids_are_version_7_tell_the_time_and_ascend() -> None:
    before = time.time_ns() // 1_000_000
    made = [new_task_id() for _ in range(100_000)]
    after = time.time_ns() // 1_000_000
    assert made == sorted(set(made))
    for task_id in made:
        parsed = uuid.UUID(task_id)
        assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, task_id)
        assert before <= parsed.int >> 80 <= after


def test_ids_that_threads_make_at_once_differ_and_ascend_in_each_thread() -> None:
    begin = threading.Barrier(4)

    def make() -> list[str]:
        begin.wait()
        return [new_task_id() for _ in range(20_000)]

    with ThreadPoolExecutor(4) as pool:
        made = [future.result() for future in [pool.submit(make) for _ in range(4)]]

    assert len(set().union(*made)) == 80_000
    assert all(ids == sorted(ids) for ids in made)


def test_two_processes_that_count_alike_make_different_ids_in_the_same_millisecond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    made = []
    for _ in range(2):
        monkeypatch.setattr(wire, "_ready", deque())
        monkeypatch.setattr(wire, "_batches", itertools.count(7))
        made.append([new_task_id() for _ in range(1000)])

    assert not set(made[0]) & set(made[1])
    assert [task_id[:23] for task_id in made[0]] == [task_id[:23] for task_id in made[1]]


def test_ids_ascend_beyond_a_change_of_the_upper_half_of_their_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    monkeypatch.setattr(wire, "_ready", deque())
    monkeypatch.setattr(wire, "_batches", itertools.count(127))
    made = [new_task_id() for _ in range(1000)]

    assert made == sorted(set(made))


def test_a_forked_child_does_not_repeat_its_parents_ids() -> None:
    new_task_id()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, new_task_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 36
    assert theirs not in {new_task_id() for _ in range(1000)}


def test_plain_tasks_are_pairs_of_id_and_message() -> None:
    call = enqueue_plain(KEYS, ("a", b"1", "b", b"2"))
    assert call.keys == ("asynq:{q}:pending", "rota:{q}:pause")
    assert call.args == ("asynq:{q}:t:", "a", b"1", "b", b"2")
    assert call.decode(2) == 2


def test_every_item_takes_as_many_arguments_as_the_script_expects() -> None:
    call = enqueue(KEYS, [Item("a", b"1"), Item("b", b"2", group="g")])
    [width] = [line for line in call.script.source.decode().splitlines() if line.startswith("local WIDTH = ")]
    assert len(call.args) == 3 + 2 * int(width.removeprefix("local WIDTH = "))


def test_replies_name_the_task_that_is_there_now() -> None:
    call = enqueue(KEYS, [Item("a", b""), Item("b", b""), Item("c", b"")])
    raw = [b"scheduled", [b"duplicate", b"x", b"active"], [b"error", b"WRONGTYPE \xff", b""]]
    assert call.decode(raw) == [
        Reply("created", "a", "scheduled"),
        Reply("duplicate", "x", "active"),
        Reply("error", "WRONGTYPE \N{REPLACEMENT CHARACTER}", ""),
    ]
    joined = debounce(KEYS, "a", b"", lock="l", wait_seconds=1.5, max_wait_seconds=None)
    assert joined.decode(b"scheduled") == Reply("created", "a", "scheduled")
    assert joined.args[-3:] == (1.5, "", "")
