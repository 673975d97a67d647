"""The same task, the same end: a Go server and a worker of ours leave the same keys behind."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from interop.programs import Go
from rota.app import Rota
from rota.errors import Revoke, SkipRetry
from rota.tasks.context import Context
from rota.tasks.policy import Retry
from tests.interop.keyspace import keyspace, split_own

HOUR = timedelta(hours=1)
OUTCOMES: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    # What Go enqueues, what a Go handler does, and what ours returns or raises.
    "success": ({}, {}, None),
    "success of a unique task": ({"unique": HOUR}, {}, None),
    "success that is kept": ({"retention": HOUR, "headers": {"a": "b"}}, {"result": "gut"}, b"gut"),
    "success that is kept, without a result": ({"retention": HOUR, "unique": HOUR}, {}, None),
    "a result that nobody keeps": ({}, {"result": "gut"}, b"gut"),
    "failure": ({"headers": {"a": "b"}, "timeout": HOUR}, {"fail": -1, "error": "boom"}, ValueError),
    "failure of a unique task": ({"unique": HOUR}, {"fail": -1, "error": "boom"}, ValueError),
    "no retries left": ({"max_retry": 0, "retention": HOUR}, {"fail": -1, "error": "boom"}, ValueError),
    "no retry wanted": ({"unique": HOUR}, {"skip_retry": True}, SkipRetry),
    "revoked": ({"retention": HOUR, "unique": HOUR}, {"revoke": True}, Revoke),
    "not a failure": ({}, {"not_failure": True}, LookupError),
}


@pytest.mark.usefixtures("one_day")
@pytest.mark.parametrize("case", OUTCOMES)
async def test_an_outcome_leaves_the_same_keys(go: Go, app: Rota, redis: Redis, case: str) -> None:
    options, behavior, ours = OUTCOMES[case]

    @app.handler("t", retry=Retry(delay="100s", is_failure=lambda error: not isinstance(error, LookupError)))
    async def t(ctx: Context, payload: bytes) -> Any:
        if isinstance(ours, type):
            raise ours
        return ours

    since = time.time()
    await go.enqueue("t", b"\xff", task_id="one", **options)
    async with go.server(retry_delay_ms=100_000, tasks={"t": behavior}) as server:
        await server.wait(event="end", id="one")
        await _recorded(redis)
    by_go, _ = split_own(await keyspace(redis, since))
    await redis.flushdb()
    since = time.time()
    await go.enqueue("t", b"\xff", task_id="one", **options)
    async with app.worker():
        await _recorded(redis)
    by_us, _ = split_own(await keyspace(redis, since))

    assert _without_error_texts(by_us) == _without_error_texts(by_go)


async def _recorded(redis: Redis) -> None:
    async with asyncio.timeout(30):
        while await redis.exists("asynq:{default}:pending", "asynq:{default}:active"):
            await asyncio.sleep(0.02)


def _without_error_texts(space: dict[str, Any]) -> dict[str, Any]:
    """Each language words its errors in its own way. There must be a text in both, or in none."""
    for value, _ in space.values():
        if isinstance(value, dict) and "msg" in value:
            value["msg"]["error_msg"] = bool(value["msg"].get("error_msg"))
    return space
