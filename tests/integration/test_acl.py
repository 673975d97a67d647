"""The rules on the page about rights are the users that this runs as: nothing is forbidden that they need."""

import asyncio
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis

from rota import Rota, errors
from rota.inspect import Inspector
from rota.inspect.doctor import examine
from rota.wire.rights import OPTIONAL, ROLES, Role, commands
from scripts.tree import ROOT
from tests.integration.worker.conftest import eventually

PAGE = ROOT / "docs/operations/acl.md"
SETTINGS = {"heartbeat": "300ms", "sweep_interval": "300ms", "reconcile_interval": "300ms", "group_grace": "1s"}


def rules() -> dict[str, str]:
    """The rules of the page by user."""
    found = re.findall(r"^ACL SETUSER (\S+) .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("ACL SETUSER")]
    return dict(zip(found, lines, strict=True))


@dataclass
class Users:
    """A server on which the users of the page are."""

    url: str
    admin: "redis.Redis"

    def url_of(self, role: Role) -> str:
        path, _, database = self.url.removeprefix("unix://").partition("?")
        return f"unix://rota-{role}:secret@{path}?{database}"

    def forbid(self, role: Role, *words: str) -> None:
        self.admin.execute_command("ACL SETUSER", f"rota-{role}", *words)

    def denied(self) -> list[str]:
        return [str(entry) for entry in self.admin.acl_log()]


@pytest.fixture
def users(any_url: str) -> Iterator[Users]:
    admin = redis.Redis.from_url(any_url)
    admin.acl_log_reset()
    for rule in rules().values():
        admin.execute_command("ACL SETUSER", *rule.replace("<password>", "secret").split()[2:])
    yield Users(any_url, admin)
    admin.execute_command("ACL DELUSER", *rules())
    admin.close()


def test_the_page_has_a_rule_for_each_role() -> None:
    assert set(rules()) == {f"rota-{role}" for role in ROLES}


async def test_a_worker_and_a_producer_do_all_they_can_do_and_are_denied_nothing(
    users: Users, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "rota")
    worker_app = Rota(users.url_of("worker"), settings=SETTINGS)
    app = Rota(users.url_of("producer"))
    started = asyncio.Event()

    @worker_app.task("acl:double")
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
        assert await job.result(timeout="10s") == 8
        unique = await app.enqueue("acl:double", {"number": 5}, unique="1m", delay="1s")
        assert not (await app.enqueue("acl:double", {"number": 5}, unique="1m")).created
        await app.enqueue("acl:double", {"number": 6}, group="g")
        await app.enqueue_many([app.plan("acl:double", {"number": n}) for n in range(20)])
        failed = await app.enqueue("acl:double", {"number": -1}, max_retry=0)
        with pytest.raises(errors.RotaError):
            await failed.result(timeout="10s")
        waiting = await app.enqueue("acl:wait")
        await started.wait()
        await app.client.cancel(waiting.queue, waiting.id, "enough")
        later = await app.enqueue("acl:double", {"number": 1}, delay="1h")
        await app.client.run_now(later.queue, later.id)
        gone = await app.enqueue("acl:double", {"number": 1}, delay="1h")
        await app.client.delete(gone.queue, gone.id)
        async with Inspectors(users) as inspector:
            await eventually(lambda: _settled(inspector), 20)
    await app.aclose()
    await worker_app.aclose()
    assert unique.created
    assert users.denied() == []
    assert [r.getMessage() for r in caplog.records if "may not" in r.getMessage() or "refused" in r.getMessage()] == []


class Inspectors:
    """An inspector as the user of that role."""

    def __init__(self, users: Users) -> None:
        self._broker = Rota(users.url_of("inspector")).connect()

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
    broker = Rota(users.url_of(role)).connect()
    try:
        done = await examine(broker, role=role)
    finally:
        await broker.aclose()

    assert [finding for finding in done.findings if finding.code == "rights"] == []


@pytest.mark.parametrize("role", ROLES)
async def test_the_doctor_finds_each_missing_right(users: Users, role: Role) -> None:
    tried = set(commands(role)) - {"EVAL", "EVALSHA", "SELECT", "CLUSTER|SLOTS", "ASKING", "ROLE", "UNSUBSCRIBE"}
    users.forbid(role, *(f"-{name.lower()}" for name in tried))
    broker = Rota(users.url_of(role)).connect()
    try:
        done = await examine(broker, role=role)
    finally:
        await broker.aclose()

    said = " ".join(finding.what for finding in done.findings if finding.code == "rights")
    assert {name for name in tried if not re.search(rf"(?<![A-Z|]){re.escape(name)}(?![A-Z|])", said)} == set()
    assert not done.healthy


async def test_the_doctor_finds_keys_that_may_not_be_touched(users: Users) -> None:
    users.forbid("worker", "resetkeys", "~asynq:*")
    broker = Rota(users.url_of("worker")).connect()
    try:
        done = await examine(broker)
    finally:
        await broker.aclose()

    [found] = [finding for finding in done.findings if finding.code == "rights"]
    assert "key rota:*" in found.what
    assert "'~rota:*'" in found.fix


async def test_a_worker_does_without_the_optional_rights(users: Users) -> None:
    users.forbid("worker", *(f"-{name.lower()}" for name in OPTIONAL))
    app = Rota(users.url_of("worker"), settings=SETTINGS)

    @app.task("acl:plain")
    async def plain() -> str:
        return "done"

    async with app.worker():
        job = await plain.enqueue()
        assert await job.result(timeout="15s") == "done"
    await app.aclose()
