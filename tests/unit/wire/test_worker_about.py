import json

import pytest

from rota.wire.worker_about import MOST_BYTES, WorkerAbout

FULL = WorkerAbout(
    version="0.5.0",
    python="3.12.1",
    memory_bytes=71_303_168,
    blocked_by="task 报表-1 (report) in queue low",
    blocked_seconds=12.5,
    last_blocked_seconds=1.25,
)


def test_a_record_is_read_as_it_was_written():
    assert WorkerAbout.from_json(FULL.to_json()) == FULL
    assert WorkerAbout.from_json(WorkerAbout(version="1", blocked_by="").to_json()).blocked_by == ""


def test_what_is_not_known_is_not_written():
    assert WorkerAbout(version="1").to_json() == b'{"version": "1"}'


def test_the_longest_record_is_short_enough_to_be_read():
    long = WorkerAbout(version="\x01" * 9000, python="\ud800" * 9000, blocked_by="报" * 9000, memory_bytes=2**53)
    assert len(WorkerAbout(blocked_by="\x01" * 9000).to_json()) < MOST_BYTES
    assert WorkerAbout.from_json(long.to_json()).blocked_by == "报" * 165 + "…"


@pytest.mark.parametrize(
    "stored",
    [
        None,
        b"",
        b"{",
        b"\xff\xff",
        b"[]",
        b"7",
        b"null",
        b"[" * MOST_BYTES,
        b'{"version": {"a": 1}}',
        b"9" * MOST_BYTES,
    ],
)
def test_a_record_of_another_kind_is_an_empty_one(stored: bytes | None):
    assert WorkerAbout.from_json(stored) == WorkerAbout()


@pytest.mark.parametrize(
    "value", ["true", "-1", "1e400", "NaN", "-Infinity", '"7"', "[]", "null", "9007199254740993e9", "1e300"]
)
def test_a_number_that_is_none_is_left_out_and_the_others_are_read(value: str):
    names = ("memory_bytes", "blocked_seconds", "last_blocked_seconds")
    numbers = "".join(f', "{name}": {value}' for name in names)
    assert WorkerAbout.from_json(f'{{"version": "1"{numbers}}}'.encode()) == WorkerAbout(version="1")


def test_a_text_that_no_terminal_could_print_is_replaced():
    stored = json.dumps({"version": "1\ud800"}).encode()
    assert WorkerAbout.from_json(stored).version == "1?"
