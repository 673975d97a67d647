"""Pause, resume, drain and delete of whole queues, by both faces."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from rota import Rota
from rota.client.requests import Requests
from rota.errors import BrokerRefused, OptionError, QueueNotFound, QueuePaused, QueueStateError
from rota.inspect import Actions, deleting_queue
from rota.inspect.deleting_queue import DeletionProgress, QueueDeletion
from rota.inspect.queue_actions import DrainProgress
from rota.tasks.job import TaskState
from rota.wire.aside import TakenTask
from rota.wire.aside import take as take_aside
from rota.wire.enqueue import Item, enqueue
from rota.wire.group import AggregationSet, Due, take
from rota.wire.keys import QueueKeys
from rota.wire.message import pack
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role

QUEUE = "jobs[eu]*"
"""A name with the characters that a pattern gives a meaning."""
NEIGHBOURS = ("jobs[eu]*2", "jobse*", "jobs")


class QueueDesk:
    """A queue full of everything, with neighbours that must stay."""

    def __init__(self, app: Rota, broker: Overseen) -> None:
        self.app = app
        self.broker = broker
        self.keys: QueueKeys = broker.keys.queue(QUEUE)

    async def execute(self, *words: str | bytes | int | float) -> Any:
        return await self.broker.admin.execute(*words)

    async def names(self, queue: str = QUEUE) -> list[bytes]:
        keys = self.broker.keys.queue(queue)
        found = await self.execute("KEYS", "*")
        return sorted(name for name in found if name.startswith((keys.base.encode(), keys.own("").encode())))

    async def is_listed(self) -> bool:
        return bool(await self.execute("SISMEMBER", self.broker.keys.queues, QUEUE))

    async def fill(self, queue: str = QUEUE) -> None:
        """Put tasks into every state, and keys that no list names."""
        app, keys = self.app, self.broker.keys.queue(queue)
        await self.execute("SADD", self.broker.keys.queues, queue)  # the client has published it a moment ago
        for number in range(12):
            await app.enqueue("t", number, queue=queue)
        for options in ({"delay": "1h"}, {"group": "g"}, {"group": "h", "unique": "1h"}, {"unique": "1h"}):
            await app.enqueue("t", str(options), queue=queue, **options)  # type: ignore[arg-type]
        for state in ("retry", "archived", "completed"):
            item = Item(f"{queue}-{state}", pack("t", b"{}", f"{queue}-{state}", queue=queue), when="+3600")
            await self.broker.run(enqueue(keys, [item]))
            await self.execute("ZREM", keys.scheduled, item.id)
            await self.execute("ZADD", f"{keys.base}{state}", 9999999999, item.id)
            await self.execute("HSET", keys.task(item.id), "state", state)
        await app.enqueue("t", "taken", queue=queue, group="taken")
        for name in ("processed", "failed", "processed:2020-01-01", "unique:t:left-behind", "t:orphan", "t:\udc80odd"):
            await self.execute("SET", (keys.base + name).encode("utf-8", "surrogateescape"), "1")
        for name in ("crashed", "sweep", "minute:1", "minute:open", "minute:total", "spent"):
            await self.execute("SADD", keys.own(name), "x")


@pytest.fixture
async def desk(any_url: str) -> AsyncIterator[QueueDesk]:
    app = Rota(as_role(any_url, "operator"))
    async with Overseen.from_url(any_url) as broker:
        yield QueueDesk(app, broker)
    await app.aclose()


@pytest.fixture(autouse=True)
def no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests the time for which a queue stays closed."""
    monkeypatch.setattr(deleting_queue, "SETTLE_SECONDS", 0.0)


@pytest.fixture
async def actions(desk: QueueDesk) -> Actions:
    return desk.app.actions()


async def deleted(actions: Actions, **words: Any) -> DeletionProgress:
    return [each async for each in actions.delete_queue(QUEUE, **words)][-1]


# Pause and resume


async def test_queue_is_paused_for_workers_by_whom_and_why(desk: QueueDesk, actions: Actions) -> None:
    await desk.app.enqueue("t", queue=QUEUE)
    paused = await actions.pause(QUEUE, reason="migration", by="anna")
    assert paused.producers is None
    assert paused.workers is not None
    assert (paused.workers.by, paused.workers.reason) == ("anna", "migration")
    assert await actions.queue_pause(QUEUE) == paused
    stored = await desk.execute("GET", desk.keys.paused)
    assert int(stored) == int(paused.workers.since.timestamp())  # type: ignore[union-attr]
    await desk.app.enqueue("t", queue=QUEUE)
    assert await actions.resume(QUEUE) == paused
    assert await desk.execute("EXISTS", desk.keys.paused, desk.keys.pause) == 0


async def test_reader_sees_who_stopped_whom_and_why(desk: QueueDesk, actions: Actions) -> None:
    await desk.app.enqueue("t", queue=QUEUE)
    seen = await desk.app.inspector().queue(QUEUE)
    assert (seen.workers, seen.producers) == (None, None)
    paused = await actions.pause(QUEUE, "both", reason="migration", by="anna")
    seen = await desk.app.inspector().queue(QUEUE)
    assert (seen.workers, seen.producers, seen.is_paused) == (paused.workers, paused.producers, True)
    await desk.execute("DEL", desk.keys.paused)
    seen = await desk.app.inspector().queue(QUEUE)
    assert (seen.workers, seen.producers, seen.is_paused) == (None, None, False)


async def test_user_of_the_program_is_named_by_default(desk: QueueDesk, actions: Actions) -> None:
    await desk.app.enqueue("t", queue=QUEUE)
    paused = await actions.pause(QUEUE, "producers")
    assert paused.producers is not None
    assert "@" in paused.producers.by


def test_blocking_face_pauses_drains_and_deletes(any_url: str) -> None:
    with Rota(as_role(any_url, "operator")) as app:
        app.enqueue_sync("t", queue=QUEUE)
        actions = app.actions_sync()
        assert actions.pause(QUEUE, "both").workers is not None
        with pytest.raises(QueuePaused):
            app.enqueue_sync("t", queue=QUEUE)
        actions.resume(QUEUE)
        actions.drain(QUEUE)
        assert next(actions.watch_drain(QUEUE)).runnable == 1
        assert list(actions.delete_queue(QUEUE))[-1].tasks == {"pending": 1}


@pytest.mark.parametrize("act", ["pause", "resume"])
async def test_pause_of_both_that_a_go_program_has_ended_does_not_come_back_for_producers(
    desk: QueueDesk, actions: Actions, act: str
) -> None:
    await desk.app.enqueue("t", queue=QUEUE)
    await actions.pause(QUEUE, "both", by="anna")
    await desk.execute("DEL", desk.keys.paused)
    await getattr(actions, act)(QUEUE, "workers")
    assert (await actions.queue_pause(QUEUE)).producers is None
    await desk.app.enqueue("t", queue=QUEUE)


@pytest.mark.parametrize("act", ["pause", "drain", "delete_queue"])
async def test_queue_that_does_not_exist_is_an_error(actions: Actions, act: str) -> None:
    with pytest.raises(QueueNotFound, match="check the name"):
        await (deleted(actions) if act == "delete_queue" else getattr(actions, act)(QUEUE))


async def test_misspelt_queue_that_a_go_program_has_paused_can_be_resumed(desk: QueueDesk, actions: Actions) -> None:
    await desk.execute("SET", desk.keys.paused, "1700000000")
    assert (await actions.resume(QUEUE)).workers is not None
    assert await desk.names() == []


async def test_wrong_words_are_refused_before_anything_is_written(desk: QueueDesk, actions: Actions) -> None:
    await desk.app.enqueue("t", queue=QUEUE)
    before = await desk.names()
    with pytest.raises(OptionError, match="Did you mean"):
        await actions.pause(QUEUE, "worker")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="Did you mean"):
        await actions.resume(QUEUE, "producer")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="reason"):
        await actions.pause(QUEUE, reason=7)  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        await actions.pause("")
    assert await desk.names() == before


# Drain


async def test_drain_refuses_new_tasks_and_says_what_is_left(desk: QueueDesk, actions: Actions) -> None:
    for number in range(3):
        await desk.app.enqueue("t", number, queue=QUEUE)
    await desk.app.enqueue("t", queue=QUEUE, delay="1h")
    await desk.app.enqueue("t", queue=QUEUE, group="g")
    drained = await actions.drain(QUEUE, by="anna")
    assert drained.producers is not None
    assert drained.producers.kind == "drain"
    with pytest.raises(QueuePaused, match="is being drained"):
        await desk.app.enqueue("t", queue=QUEUE)
    seen: list[DrainProgress] = []
    async for progress in actions.watch_drain(QUEUE, every="10ms"):
        seen.append(progress)
        if len(seen) == 1:
            await desk.execute("LPOP", desk.keys.pending)
        if len(seen) == 2:
            await desk.execute("SET", desk.keys.paused, "1700000000")
        if len(seen) == 3:
            for key in (desk.keys.pending, desk.keys.scheduled, desk.keys.groups):
                await desk.execute("DEL", key)
    first, second, third, last = seen
    assert (first.runnable, first.later, first.groups, first.ends_at) == (3, 1, 1, None)
    assert second.runnable == 2
    assert second.ends_at is not None
    assert second.last_due is not None
    assert second.ends_at >= second.last_due
    assert (third.is_paused, third.ends_at) == (True, None)
    assert last.is_empty


# Deletion


async def test_deletion_leaves_nothing_of_the_queue_and_everything_of_its_neighbours(
    desk: QueueDesk, actions: Actions
) -> None:
    for queue in (QUEUE, *NEIGHBOURS):
        await desk.fill(queue)
    before = {queue: await desk.names(queue) for queue in NEIGHBOURS}
    progress = await deleted(actions, reason="not needed", by="anna")
    assert await desk.names() == []
    assert not await desk.is_listed()
    assert {queue: await desk.names(queue) for queue in NEIGHBOURS} == before
    assert progress.tasks == {
        "pending": 13, "scheduled": 1, "retry": 1, "archived": 1, "completed": 1, "aggregating": 3
    }  # fmt: skip
    assert (progress.is_over, progress.came_meanwhile) == (True, 0)
    assert (await desk.app.enqueue("t", "new", queue=QUEUE, unique="1h")).created, "the queue can be used again"


async def test_deletion_is_refused_while_tasks_run_unless_it_is_forced(desk: QueueDesk, actions: Actions) -> None:
    await desk.fill()
    await desk.execute("LMOVE", desk.keys.pending, desk.keys.active, "RIGHT", "LEFT")
    before = await desk.names()
    with pytest.raises(QueueStateError, match="1 task of it run, and 0 groups"):
        await deleted(actions)
    assert await desk.names() == before
    progress = await deleted(actions, force=True)
    assert progress.tasks["active"] == 1
    assert await desk.names() == []


async def test_deletion_is_refused_while_a_group_is_being_aggregated(desk: QueueDesk, actions: Actions) -> None:
    await desk.fill()
    due = Due(None, timedelta(), timedelta(days=1))
    assert await desk.broker.run(take(AggregationSet(desk.keys, "g", "set"), due, timedelta(minutes=2)))
    with pytest.raises(QueueStateError, match="1 group of it are being aggregated"):
        await deleted(actions)
    progress = await deleted(actions, force=True)
    assert progress.tasks["aggregating"] == 3
    assert await desk.names() == []


async def test_producers_and_workers_are_stopped_while_the_deletion_runs(desk: QueueDesk, actions: Actions) -> None:
    await desk.fill()
    stream = actions.delete_queue(QUEUE, by="anna", reason="old")
    await anext(stream)
    with pytest.raises(QueuePaused, match=r"is being deleted since .* by anna \(old\)"):
        await desk.app.enqueue("t", queue=QUEUE)
    assert await desk.execute("EXISTS", desk.keys.paused) == 1
    with pytest.raises(QueueStateError, match="is being deleted"):
        await actions.pause(QUEUE)
    async for _ in stream:
        pass
    assert await desk.names() == []


async def test_deletion_that_was_killed_at_any_step_is_finished_by_the_next_one(
    desk: QueueDesk, actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting_queue, "MOST_TASKS", 5)
    broken_off = 0
    for steps in range(1, 200):
        await desk.fill()
        stream, last = actions.delete_queue(QUEUE), None
        for _ in range(steps):
            last = await anext(stream, None)
            if last is None:
                break
        await stream.aclose()
        if last is None:
            break
        if not last.is_over:
            broken_off += 1
            with pytest.raises(QueuePaused):
                await desk.app.enqueue("t", queue=QUEUE)
        if await desk.names():
            await deleted(actions)
        assert await desk.names() == []
        assert not await desk.is_listed()
    else:
        pytest.fail("the deletion does not end")
    assert broken_off > 10


async def test_name_is_published_again_by_a_producer_that_was_refused_meanwhile(
    desk: QueueDesk, actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting_queue, "SETTLE_SECONDS", 0.2)
    await desk.app.enqueue("t", queue=QUEUE)
    stream = actions.delete_queue(QUEUE)
    await anext(stream)
    for options in ({}, {"delay": "1s"}):
        with pytest.raises(QueuePaused):
            await desk.app.enqueue("t", queue=QUEUE, **options)  # type: ignore[arg-type]
    assert isinstance((await desk.app.enqueue_many([desk.app.plan("t", queue=QUEUE)]))[0], QueuePaused)
    async for _ in stream:
        pass
    assert not await desk.is_listed()
    await desk.app.enqueue("t", queue=QUEUE)
    assert await desk.is_listed()


async def test_deletion_whose_name_is_removed_already_is_finished(desk: QueueDesk, actions: Actions) -> None:
    await desk.fill()
    stream = actions.delete_queue(QUEUE)
    await anext(stream)
    await stream.aclose()
    await desk.execute("SREM", desk.broker.keys.queues, QUEUE)
    await deleted(actions)
    assert await desk.names() == []


async def test_resume_ends_a_deletion_and_keeps_what_is_left(desk: QueueDesk, actions: Actions) -> None:
    await desk.fill()
    stream = actions.delete_queue(QUEUE)
    await anext(stream)
    await actions.resume(QUEUE)
    with pytest.raises(QueueStateError, match="the queue was resumed"):
        await anext(stream)
    assert (await desk.app.enqueue("t", queue=QUEUE)).created
    assert await desk.execute("LLEN", desk.keys.pending) == 14


async def test_second_deletion_takes_over(desk: QueueDesk, actions: Actions) -> None:
    await desk.fill()
    first = actions.delete_queue(QUEUE)
    await anext(first)
    await deleted(actions)
    assert await desk.names() == []
    with pytest.raises(QueueStateError, match="another deletion has taken over"):
        await anext(first)


async def test_tasks_of_go_producers_that_come_meanwhile_are_deleted_and_counted(
    desk: QueueDesk, actions: Actions
) -> None:
    await desk.fill()
    came = 0
    seen: list[DeletionProgress] = []
    async for progress in actions.delete_queue(QUEUE):
        seen.append(progress)
        if came < 3 and not await desk.execute("EXISTS", desk.keys.pending):
            came += 1
            await desk.execute("HSET", desk.keys.task(f"go-{came}"), "msg", "m", "state", "pending")
            await desk.execute("LPUSH", desk.keys.pending, f"go-{came}")
    assert seen[-1].is_over
    assert seen[-1].tasks["pending"] == 13 + came
    assert await desk.names() == []


async def test_deletion_gives_up_on_a_queue_that_is_filled_all_the_time(desk: QueueDesk, actions: Actions) -> None:
    await desk.fill()

    async def delete() -> None:
        async for _ in actions.delete_queue(QUEUE):
            await desk.execute("HSET", desk.keys.task("go"), "msg", "m", "state", "pending")
            await desk.execute("LPUSH", desk.keys.pending, "go")

    with pytest.raises(QueueStateError, match="as fast as they are deleted"):
        await delete()
    with pytest.raises(QueuePaused):
        await desk.app.enqueue("t", queue=QUEUE)


async def deleted_without_scan(desk: QueueDesk, monkeypatch: pytest.MonkeyPatch) -> DeletionProgress | None:
    deletion = QueueDeletion(desk.broker.keys, QUEUE, force=False, by="anna", reason="")
    async with desk.app.connect() as broker:
        requests, last = Requests(broker), None
        execute = broker.execute

        async def refuse(*words: Any, key: str | None = None) -> Any:
            if words[0] == "SCAN":
                raise BrokerRefused("The user may not run SCAN.")
            return await execute(*words, key=key)

        monkeypatch.setattr(broker, "execute", refuse)
        while (progress := await requests.carry_out(deletion.next_batch())) is not None:
            last = progress
    return last


@pytest.mark.forbids
async def test_server_that_does_not_permit_scan_leaves_only_what_no_list_names(
    desk: QueueDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.fill()
    last = await deleted_without_scan(desk, monkeypatch)
    assert last is not None
    assert (last.is_over, last.others_known) == (True, False)
    names = {name.removeprefix(desk.keys.base.encode()) for name in await desk.names()}
    assert names == {
        b"processed:2020-01-01", b"unique:t:left-behind", b"t:orphan", b"t:\x80odd",
        desk.keys.own("minute:1").encode(),
    }  # fmt: skip


@pytest.mark.forbids
async def test_tasks_that_are_aside_are_deleted_with_their_queue_without_scan(
    desk: QueueDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for target in ("", "other"):
        job = await desk.app.enqueue("t", target, queue=QUEUE, unique="1h")
        [taken] = await desk.broker.run(take_aside(desk.keys, [job.id], to=target, mark=f"m-{target}", note="moving"))
        assert isinstance(taken, TakenTask)
    progress = await deleted_without_scan(desk, monkeypatch)
    assert progress is not None
    assert progress.tasks == {"archived": 2}
    assert await desk.names() == []


async def test_waiting_tasks_of_a_paused_queue_run_after_resume(desk: QueueDesk, actions: Actions) -> None:
    job = await desk.app.enqueue("t", queue=QUEUE)
    await actions.pause(QUEUE, "both")
    await actions.resume(QUEUE)
    assert (await job.info()).state is TaskState.PENDING
