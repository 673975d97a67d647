"""Results come back equal, or their task fails with an error that says why."""

from typing import Any

import pytest
from pydantic import BaseModel

from rota.app import Rota
from rota.errors import TaskFailed
from tests.integration.worker.conftest import Bench


class User(BaseModel):
    name: str


class Admin(User):
    rights: list[str] = []


@pytest.mark.parametrize("run", ["loop", "thread"])
async def test_result_that_would_come_back_changed_fails_its_task_without_a_retry(
    app: Rota, bench: Bench, run: Any
) -> None:
    @app.task("user:find", run=run, retention="10m")
    def find() -> User:
        return Admin(name="Ada", rights=["all"])

    async with app.worker():
        job = await find.enqueue()
        with pytest.raises(TaskFailed, match=r"result of .*find would arrive changed: Admin is read back as User"):
            await job.result("20s")
        task = await bench.in_state(job.id, "archived")
    assert task.retried == 0


async def test_function_without_a_return_annotation_may_return_anything_that_is_not_kept(
    app: Rota, bench: Bench
) -> None:
    @app.task("pair:made")
    async def pair():  # type: ignore[no-untyped-def]
        return object(), 1

    @app.task("pair:kept", retention="1h")
    async def kept():  # type: ignore[no-untyped-def]
        return 1, 2

    async with app.worker():
        loose, job = await pair.enqueue(), await kept.enqueue()
        task = await bench.in_state(job.id, "archived")
        await bench.gone(loose.id)
    assert "tuple is read back as list" in task.last_error
