"""The functions that scripts share, each against the Python that says what is right."""

import random
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest

from rota.wire.proto import TaskMessage
from tests.servers.overseen import Overseen

BASE = "asynq:{fragments}:"
LATE = 4_102_444_800  # 2100-01-01: what expires after the test


async def run(broker: Overseen, fragment: str, code: str, *args: str | bytes | int) -> Any:
    text = (files("rota.wire") / "lua" / f"{fragment}.lua").read_text()
    return await broker.execute("EVAL", f"local now = tonumber(ARGV[1])\n{text}\n{code}", 1, BASE, *args, key=BASE)


async def count(broker: Overseen, now: int, processed: int, failed: int) -> None:
    await run(broker, "count", "count(KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]))", now, processed, failed)


async def number(broker: Overseen, name: str) -> int:
    return int(await broker.admin.execute("GET", BASE + name) or 0)


@pytest.mark.parametrize("day", ["2000-02-29", "2100-02-28", "2100-03-01", "2026-12-31", "2400-02-29"])
async def test_a_day_is_named_as_the_calendar_does(broker: Overseen, day: str) -> None:
    seconds = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    if seconds < LATE:
        seconds += 146_097 * 86_400 * (1 + (LATE - seconds) // (146_097 * 86_400))  # the same day, some cycles later
    expected = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    await count(broker, seconds, 1, 0)
    await count(broker, seconds + 86_399, 1, 0)
    assert await number(broker, f"processed:{expected}") == 2


async def test_any_day_is_named_as_the_calendar_does(broker: Overseen) -> None:
    for _ in range(200):
        seconds = LATE + random.randrange(200 * 365 * 86_400)
        await count(broker, seconds, 1, 1)
        day = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
        assert await number(broker, f"processed:{day}") >= 1
        assert await number(broker, f"failed:{day}") >= 1


async def test_nothing_counted_touches_nothing(broker: Overseen) -> None:
    await count(broker, LATE, 0, 0)
    assert await broker.admin.execute("DBSIZE") == 0


async def test_a_day_counter_lives_ninety_days_from_its_first_count(broker: Overseen) -> None:
    await count(broker, LATE, 2, 0)
    await broker.admin.execute("PERSIST", f"{BASE}processed:2100-01-01")
    await count(broker, LATE + 5, 1, 0)
    assert await broker.admin.execute("TTL", f"{BASE}processed:2100-01-01") == -1
    await count(broker, LATE + 5, 0, 1)
    assert await broker.admin.execute("EXPIRETIME", f"{BASE}failed:2100-01-01") == LATE + 5 + 90 * 86_400


async def test_a_lifetime_counter_starts_again_where_it_would_leave_its_range(broker: Overseen) -> None:
    await broker.admin.execute("SET", f"{BASE}processed", 2**63 - 1)
    await broker.admin.execute("SET", f"{BASE}failed", 7)
    await count(broker, LATE, 3, 2)
    assert (await number(broker, "processed"), await number(broker, "failed")) == (3, 2)


async def test_a_text_field_is_read_from_any_message(broker: Overseen) -> None:
    message = TaskMessage(
        type="mail:send",
        payload=bytes(range(256)) * 3,
        id="é" * 50,
        queue="q",
        retry=25,
        retried=-1,
        deadline=2**60,
        unique_key=f"{BASE}unique:x",
        group_key="g",
        headers={"a": "b" * 200},
    )
    names = {1: message.type, 3: message.id, 4: message.queue, 10: message.unique_key, 14: message.group_key}
    for field, value in names.items():
        found = await run(broker, "field", f"return field(ARGV[2], {field})", 0, message.SerializeToString())
        assert found == value.encode()
    assert await run(broker, "field", "return field(ARGV[2], 7)", 0, message.SerializeToString()) is None


async def test_bytes_that_are_no_message_have_no_field(broker: Overseen) -> None:
    for _ in range(300):
        noise = random.randbytes(random.randrange(60))
        await run(broker, "field", "return field(ARGV[2], 10)", 0, noise)
    assert await run(broker, "field", "return field(ARGV[2], 10)", 0, b"\xff\xff\xff") is None
