"""The rules on the page about rights are the users that this runs as: nothing is forbidden that they need."""

import asyncio
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rota import Job, Rota, errors
from rota.inspect import Inspector
from rota.inspect.doctor import examine
from rota.wire.rights import OPTIONAL, ROLES, Role, commands
from tests.integration.worker.conftest import eventually
from tests.servers.clients import client
from tests.servers.roles import denied, forget_denied, make_user, make_users, restricted, rules

SETTINGS = {"heartbeat": "300ms", "sweep_interval": "300ms", "group_grace": "1s"}


@dataclass
class Users:
    """A server on which the users of the page are."""

    url: str
    admin: Any

    def url_of(self, role: Role) -> str:
        return restricted(self.url, role)

    def app(self, role: Role, **settings: Any) -> Rota:
        """An app of this user. The sentinels, where there are some, know no users."""
        return Rota(self.url_of(role), settings={"sentinel_password": "", **settings})

    def forbid(self, role: Role, *words: str) -> None:
        make_user(self.admin, f"rota-{role}", *words)

    def denied(self) -> list[str]:
        return [str(entry) for entry in denied(self.admin)]


@pytest.fixture
def users(any_url: str) -> Iterator[Users]:
    with client(any_url) as admin:
        forget_denied(admin)
        make_users(admin)
        yield Users(any_url, admin)


def test_the_page_has_a_rule_for_each_role() -> None:
    assert rules().keys() == {f"rota-{name}" for name in (*ROLES, "go")}


async def test_a_worker_and_a_producer_do_all_they_can_do_and_are_denied_nothing(
    users: Users, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "rota")
    worker_app = users.app("worker", **SETTINGS)
    app = users.app("producer")
    started = asyncio.Event()

    @worker_app.task("acl:double", retention="10m")
    async def double(number: int) -> int:
        if number < 0:
            raise ValueError("negative")
        return number * 2

    @worker_app.task("acl:wait")
    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    @worker_app.aggregator("acl:double")
    def together(group: str, tasks: list[object]) -> object:
        return double.plan(len(tasks))

    async with worker_app.worker(concurrency=4):
        job = await app.enqueue("acl:double", {"number": 4}, retention="1m")
        assert await job.result(timeout="30s") == 8
        # In one request: alone, the first may be over before the second comes.
        twice = [app.plan("acl:double", {"number": 5}, unique="1m", delay="1s") for _ in range(2)]
        unique, again = await app.enqueue_many(twice)
        assert [isinstance(each, Job) and each.created for each in (unique, again)] == [True, False]
        await app.enqueue("acl:double", {"number": 6}, group="g")
        await app.enqueue_many([app.plan("acl:double", {"number": n}) for n in range(20)])
        failed = await app.enqueue("acl:double", {"number": -1}, max_retry=0)
        with pytest.raises(errors.RotaError):
            await failed.result(timeout="30s")
        waiting = await app.enqueue("acl:wait")
        await started.wait()
        await app.client.cancel(waiting.queue, waiting.id, "enough")
        later = await app.enqueue("acl:double", {"number": 1}, delay="1h")
        await app.client.run_now(later.queue, later.id)
        gone = await app.enqueue("acl:double", {"number": 1}, delay="1h")
        await app.client.delete(gone.queue, gone.id)
        async with Inspectors(users) as inspector:
            await eventually(lambda: _settled(inspector))
    await app.aclose()
    await worker_app.aclose()
    assert users.denied() == []
    assert [r.getMessage() for r in caplog.records if "may not" in r.getMessage() or "refused" in r.getMessage()] == []


class Inspectors:
    """An inspector as the user of that role."""

    def __init__(self, users: Users) -> None:
        self._broker = users.app("inspector").connect()

    async def __aenter__(self) -> Inspector:
        return Inspector(self._broker)

    async def __aexit__(self, *error: object) -> None:
        await self._broker.aclose()


async def _settled(inspector: Inspector) -> bool:
    queue = await inspector.queue("default")
    await inspector.servers()
    return queue.archived == 2 and queue.size - queue.completed - queue.archived == 0


@pytest.mark.parametrize("role", ROLES)
async def test_the_doctor_finds_nothing_missing(users: Users, role: Role) -> None:
    broker = users.app(role).connect()
    try:
        done = await examine(broker, role=role)
    finally:
        await broker.aclose()

    assert [finding for finding in done.findings if finding.code == "rights"] == []


@pytest.mark.parametrize("role", ROLES)
async def test_the_doctor_finds_each_missing_right(users: Users, role: Role) -> None:
    tried = set(commands(role)) - {"EVAL", "EVALSHA", "SELECT", "CLUSTER|SLOTS", "ASKING", "ROLE", "UNSUBSCRIBE"}
    users.forbid(role, *(f"-{name.lower()}" for name in tried))
    broker = users.app(role).connect()
    try:
        done = await examine(broker, role=role)
    finally:
        await broker.aclose()

    said = " ".join(finding.what for finding in done.findings if finding.code == "rights")
    assert {name for name in tried if not re.search(rf"(?<![A-Z|]){re.escape(name)}(?![A-Z|])", said)} == set()
    assert not done.healthy


async def test_the_doctor_finds_keys_that_may_not_be_touched(users: Users) -> None:
    users.forbid("worker", "resetkeys", "~asynq:*")
    broker = users.app("worker").connect()
    try:
        done = await examine(broker)
    finally:
        await broker.aclose()

    [found] = [finding for finding in done.findings if finding.code == "rights"]
    assert "key rota:*" in found.what
    assert "'~rota:*'" in found.fix


async def test_a_worker_does_without_the_optional_rights(users: Users) -> None:
    of_a_cluster = {"CLUSTER|SLOTS"} if users.url.startswith("redis+cluster") else set()
    users.forbid("worker", *(f"-{name.lower()}" for name in OPTIONAL.keys() - of_a_cluster))
    app = users.app("worker", **SETTINGS)

    @app.task("acl:plain", retention="10m")
    async def plain() -> str:
        return "done"

    async with app.worker():
        job = await plain.enqueue()
        assert await job.result(timeout="15s") == "done"
    await app.aclose()
