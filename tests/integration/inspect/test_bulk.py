"""Acts on many tasks: the same as on one, in batches, with progress, failures and a stop."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest

from rota.broker import Broker, BrokerOptions, SyncBroker
from rota.broker.url import parse
from rota.client import Client
from rota.errors import BrokerUnavailable, OptionError, QueueNotFound, RotaError, TaskNotFound
from rota.inspect import (
    Actions,
    Archive,
    Cancel,
    Chosen,
    Delete,
    EditPayload,
    FreeLock,
    InState,
    Matching,
    MoveTo,
    Requeue,
    Reschedule,
    RunNow,
    SyncActions,
    TaskRef,
    task_search,
)
from rota.inspect.bulk import MOST_FAILURES
from rota.inspect.bulk_acts import BulkAct
from rota.settings.setting_groups import DatabaseSettings
from rota.store import open_trash
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.cut import LosesReplies
from tests.integration.inspect.many import done, fill
from tests.servers.roles import as_role

STATES = ["pending", "active", "scheduled", "aggregating", "retry", "archived", "completed"]
KEPT = plan(retention="1h", max_retry=7)
ONE: dict[str, Callable[[Actions, TaskRef], Any]] = {
    "run": lambda actions, ref: actions.run_now(*ref),
    "archive": lambda actions, ref: actions.archive(*ref),
    "delete": lambda actions, ref: actions.delete(*ref),
    "cancel": lambda actions, ref: actions.cancel(*ref, "enough"),
    "reschedule": lambda actions, ref: actions.reschedule(*ref, "1h"),
    "moveto": lambda actions, ref: actions.move(*ref, "there", create=True),
    "requeue": lambda actions, ref: actions.requeue(*ref),
    "free": lambda actions, ref: actions.free_lock_of(*ref),
    "edit": lambda actions, ref: actions.edit(*ref, b"new", check=False),
    "edit and run": lambda actions, ref: actions.edit(*ref, b"new", run=True, check=False),
}
MANY = {
    "run": RunNow(),
    "archive": Archive(),
    "delete": Delete(),
    "cancel": Cancel("enough"),
    "reschedule": Reschedule("1h"),
    "moveto": MoveTo("there", create=True),
    "requeue": Requeue(),
    "free": FreeLock(),
    "edit": EditPayload(b"new", check=False),
    "edit and run": EditPayload(b"new", run=True, check=False),
}


def test_each_act_is_compared_with_the_act_on_one_task() -> None:
    untested = {kind.__name__ for kind in get_args(BulkAct)} ^ {type(act).__name__ for act in MANY.values()}
    assert not untested, f"Name these acts in ONE and MANY: {sorted(untested)}"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("act", "unique"), [*((act, None) for act in MANY), ("free", "10m"), ("edit and run", "10m")])
async def test_act_on_many_with_one_task_is_the_act_on_one(
    client: Client, actions: Actions, desk: Desk, act: str, state: str, unique: str | None
) -> None:
    second = Desk(desk.broker, "second")
    kept = KEPT.updated(unique=unique)
    one = await desk.bring(client, state, kept)
    other = await second.bring(client, state, kept.updated(queue="second"))
    error: RotaError | None = None
    try:
        await ONE[act](actions, TaskRef("default", one.id))
    except RotaError as raised:
        error = raised
    progress = await done(actions, actions.bulk(MANY[act], Chosen([TaskRef("second", other.id)])))
    assert (progress.seen, progress.done, progress.failed) == (1, int(error is None), int(error is not None))
    if error is not None:
        failure = progress.failures[0].error
        assert type(failure) is type(error)
        assert str(failure) == str(error).replace(one.id, other.id).replace("'default'", "'second'")
    for place in (*STATES, "g:g"):
        if place != "aggregating":
            assert (one.id in await desk.ids(place)) == (other.id in await second.ids(place)), place
    assert (await desk.hash(one.id)).keys() == (await second.hash(other.id)).keys()
    assert len(await desk.locks()) == len(await second.locks())


@pytest.mark.parametrize("number", [0, 1, 2500])
async def test_all_tasks_of_a_state_are_done_in_batches(
    client: Client, actions: Actions, desk: Desk, number: int
) -> None:
    await desk.broker.admin.execute("SADD", "asynq:queues", "default")
    await fill(client, number, delay="1h")
    bulk = actions.bulk(RunNow(), InState("default", "scheduled"))
    seen = [progress.seen async for progress in actions.batches(bulk)]
    assert seen == [*range(1000, number, 1000), number, number][-len(seen) :]
    assert (bulk.progress.total, bulk.progress.done, bulk.progress.ended) == (number, number, True)
    assert (len(await desk.ids("pending")), await desk.ids("scheduled")) == (number, [])


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating"])
@pytest.mark.parametrize("act", ["archive", "delete", "moveto", "cancel"])
async def test_whole_state_is_emptied(client: Client, actions: Actions, desk: Desk, state: str, act: str) -> None:
    words = {"scheduled": {"delay": "1h"}, "aggregating": {"group": "g"}}.get(state, {})
    await fill(client, 1300, **words)
    group = "g" if state == "aggregating" else ""
    progress = await done(actions, actions.bulk(MANY[act], InState("default", state, group)))
    assert (progress.done, progress.failed) == (1300, 0)
    assert await desk.ids("g:g" if group else state) == []


async def test_pending_tasks_in_the_middle_of_a_long_queue_are_found(
    client: Client, actions: Actions, desk: Desk
) -> None:
    refs = await fill(client, 3000)
    progress = await done(actions, actions.bulk(Delete(), Chosen(refs[1000:2500])))
    assert (progress.done, progress.failed) == (1500, 0)
    assert await desk.ids("pending") == [ref.id for ref in reversed(refs[:1000] + refs[2500:])]


async def test_large_tasks_are_done_in_more_calls(client: Client, actions: Actions, desk: Desk) -> None:
    large = b"x" * 600_000
    jobs = await client.enqueue_many([plan(large, delay="1h") for _ in range(6)])
    progress = await done(
        actions,
        actions.bulk(MoveTo("there", create=True), Chosen([(job.queue, job.id) for job in jobs])),  # type: ignore[union-attr]
    )
    assert (progress.done, len(await Desk(desk.broker, "there").ids("scheduled"))) == (6, 6)
    calls = await actions._requests.carry_out(_one_burst(actions, [job.id for job in jobs], "there"))  # type: ignore[union-attr]
    assert [edited.reply for edited in calls] == ["done", "later", "later", "later", "later", "later"]


def _one_burst(actions: Actions, ids: list[str], queue: str) -> Any:
    from rota.client.steps import Burst
    from rota.wire import edit

    [replies] = yield Burst([edit.archive(actions._keys.queue(queue), ids)])
    return replies


async def test_rescheduled_tasks_that_stay_scheduled_are_each_done(
    client: Client, actions: Actions, desk: Desk
) -> None:
    refs = await fill(client, 2200, delay="2h")
    before = await desk.now()
    progress = await done(actions, actions.bulk(Reschedule("1h"), InState("default", "scheduled")))
    assert (progress.failed, progress.done >= 2200) == (0, True)
    for ref in refs[::500]:
        assert await desk.score("scheduled", ref.id) < before + 3700


async def test_refused_tasks_are_counted_and_the_first_ones_kept(client: Client, actions: Actions) -> None:
    good = await fill(client, 10)
    gone = [TaskRef("default", f"gone{n}") for n in range(MOST_FAILURES + 20)]
    progress = await done(actions, actions.bulk(Delete(), Chosen([*gone, *good])))
    assert (progress.done, progress.failed, dict(progress.reasons)) == (10, len(gone), {"TaskNotFound": len(gone)})
    assert [failure.task for failure in progress.failures] == gone[:MOST_FAILURES]


async def test_outcome_of_each_task_is_told_after_its_batch(client: Client, actions: Actions) -> None:
    good, gone = await fill(client, 1500), TaskRef("default", "gone")
    bulk, told = actions.bulk(Archive(), Chosen([*good, gone, *good[:1]])), dict[TaskRef, str | RotaError]()
    async for _ in actions.batches(bulk):
        assert len(bulk.outcomes) <= 1000
        told.update(bulk.outcomes)
    assert isinstance(told.pop(gone), TaskNotFound)
    assert told == dict.fromkeys(good, "done")


async def test_tasks_that_stay_in_their_state_are_passed_by(client: Client, actions: Actions, desk: Desk) -> None:
    """Their hashes are of the wrong type, so they can be neither run nor counted as done."""
    refs = await fill(client, 1500, delay="1h")
    for ref in refs[:20]:
        await desk.broker.admin.execute("DEL", desk.keys.task(ref.id))
        await desk.broker.admin.execute("SET", desk.keys.task(ref.id), "x")
    progress = await done(actions, actions.bulk(RunNow(), InState("default", "scheduled")))
    assert (progress.done, progress.failed, dict(progress.reasons)) == (1480, 20, {"BrokerRefused": 20})
    assert sorted(await desk.ids("scheduled")) == sorted(ref.id for ref in refs[:20])


@pytest.mark.parametrize("state", ["pending", "scheduled"])
async def test_ids_without_a_task_do_not_hide_the_tasks_behind_them(
    client: Client, actions: Actions, desk: Desk, state: str
) -> None:
    refs = await fill(client, 2600, delay="1h" if state == "scheduled" else None)
    await desk.broker.admin.execute("DEL", *(desk.keys.task(ref.id) for ref in refs[:2500]))
    progress = await done(actions, actions.bulk(Archive(), InState("default", state)))
    assert (progress.seen, progress.done, dict(progress.reasons)) == (2600, 100, {"TaskNotFound": 2500})
    assert sorted(await desk.ids("archived")) == sorted(ref.id for ref in refs[2500:])


async def test_cancel_reaches_all_active_tasks_although_some_end_meanwhile(
    client: Client, actions: Actions, desk: Desk
) -> None:
    await fill(client, 5000)
    while await desk.ids("pending"):
        await desk.take(1000)
    bulk = actions.bulk(Cancel(), InState("default", "active"))
    async for progress in actions.batches(bulk):
        if not progress.ended:
            for task in list(bulk.outcomes)[::2]:
                await desk.end(task.id)
    assert (bulk.progress.seen, bulk.progress.done) == (5000, 5000)
    left = await desk.ids("active")
    assert 2400 < len(left) <= 2500
    cancelled = [
        task_id
        for task_id in left
        if b"rota_cancel" in await desk.broker.admin.execute("HKEYS", desk.keys.task(task_id))
    ]
    assert cancelled == left


async def test_bulk_that_is_stopped_leaves_the_rest(client: Client, actions: Actions, desk: Desk) -> None:
    await fill(client, 3000, delay="1h")
    bulk = actions.bulk(RunNow(), InState("default", "scheduled"))
    async for progress in actions.batches(bulk):
        if progress.seen:
            bulk.stop()
    assert (bulk.progress.stopped, bulk.progress.ended, bulk.progress.done) == (True, False, 1000)
    assert len(await desk.ids("scheduled")) == 2000


async def test_stop_after_the_last_task_changes_nothing(client: Client, actions: Actions, desk: Desk) -> None:
    await fill(client, 3, delay="1h")
    bulk = actions.bulk(RunNow(), InState("default", "scheduled"))
    async for _ in actions.batches(bulk):
        bulk.stop()
    assert (bulk.progress.stopped, bulk.progress.ended, bulk.progress.done) == (False, True, 3)


async def test_preview_counts_and_shows_some_and_changes_nothing(client: Client, actions: Actions, desk: Desk) -> None:
    refs = await fill(client, 30, delay="1h")
    seen = await actions.preview(InState("default", "scheduled"), sample=3)
    assert (seen.count, seen.is_exact, len(seen.sample)) == (30, True, 3)
    chosen = await actions.preview(Chosen([*refs[:2], TaskRef("default", "gone")]))
    assert (chosen.count, [info.id for info in chosen.sample]) == (3, [ref.id for ref in refs[:2]])
    assert len(await desk.ids("scheduled")) == 30


async def test_all_that_match_a_query_are_done(client: Client, desk: Desk) -> None:
    actions = Actions(desk.broker)  # a search needs more rights than a producer has
    await fill(client, 1200, delay="1h")
    await client.enqueue_many([plan(b"{}", "other", delay="1h") for _ in range(700)])
    seen = await actions.preview(Matching("type:other state:scheduled"), sample=2)
    assert (seen.count, seen.is_exact, {info.type for info in seen.sample}) == (700, True, {"other"})
    assert (seen.scanned, seen.of) == (1900, 1900)
    progress = await done(actions, actions.bulk(Archive(), Matching("type:other")))
    assert (progress.done, progress.failed, progress.total) == (700, 0, None)
    assert (len(await desk.ids("archived")), len(await desk.ids("scheduled"))) == (700, 1200)
    await desk.broker.admin.execute("SET", desk.keys.retry, "of another program")
    part = await done(actions, actions.bulk(Delete(), Matching("type:other")))
    assert (part.done, part.unread) == (700, (desk.keys.retry,))
    await desk.broker.admin.execute("DEL", desk.keys.retry)
    none = await done(actions, actions.bulk(Archive(), Matching("type:nothing")))
    assert (none.seen, none.ended) == (0, True)


async def test_act_on_a_query_does_not_meet_its_own_tasks_again(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search forgets its oldest hits, and reads the place later to which the act brings the tasks."""
    monkeypatch.setattr(task_search, "REMEMBERED", 10)
    actions = Actions(desk.broker)
    await fill(client, 1200, delay="1h")
    await fill(client, 3, queue="there")
    later = await done(actions, actions.bulk(Reschedule("2h"), Matching("state:scheduled")))
    assert (later.done, later.failed, later.ended) == (1200, 0, True)
    assert len({await desk.score("scheduled", each) for each in await desk.ids("scheduled")}) == 1
    for act, query, number in (
        (MoveTo("there"), "type:*", 1200),
        (RunNow(), "type:*", 1200),
        (Archive(), "type:*", 1203),
        (Cancel(), "type:*", 0),
    ):
        seen = await actions.preview(Matching(query), act=act)
        progress = await done(actions, actions.bulk(act, Matching(query)))
        assert (seen.count, progress.done, progress.failed) == (number, number, 0)


async def test_tasks_that_are_in_the_queue_already_do_not_keep_others_from_moving_there(
    client: Client, actions: Actions, desk: Desk
) -> None:
    here, there = await fill(client, 3), await fill(client, 2, queue="there")
    progress = await done(actions, actions.bulk(MoveTo("there"), Chosen([*there, *here])))
    assert (progress.done, dict(progress.reasons)) == (3, {"OptionError": 2})
    assert len(await Desk(desk.broker, "there").ids("pending")) == 5


async def test_wrong_targets_are_refused_before_anything_is_written(
    client: Client, actions: Actions, desk: Desk
) -> None:
    await fill(client, 3)
    with pytest.raises(OptionError, match="by group"):
        InState("default", "aggregating")
    with pytest.raises(QueueNotFound):
        await done(actions, actions.bulk(MoveTo("nowhere"), InState("default", "pending")))
    with pytest.raises(QueueNotFound):
        await done(actions, actions.bulk(Delete(), InState("defualt", "pending")))
    with pytest.raises(QueueNotFound):
        await actions.preview(InState("defualt", "pending"))
    assert len(await desk.ids("pending")) == 3


async def test_deleted_together_are_put_back_together(client: Client, any_url: str, desk: Desk, tmp_path: Path) -> None:
    refs = await fill(client, 1200, delay="1h")
    before = {ref.id: await desk.hash(ref.id) for ref in refs[::100]}
    trash = open_trash(f"sqlite:///{tmp_path}/rota.db", DatabaseSettings())
    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        actions = Actions(broker, trash=trash)
        progress = await done(actions, actions.bulk(Delete(), InState("default", "scheduled")))
        assert (progress.done, await desk.ids("scheduled")) == (1200, [])
        await client.enqueue(plan(task_id=refs[0].id))
        outcomes = await actions.undo_all(progress.deletion)
        assert (outcomes.count("done"), len(outcomes)) == (1199, 1200)
        assert len(await desk.ids("scheduled")) == 1199
        assert {name: await desk.hash(name) for name in before if name != refs[0].id} == {
            name: row for name, row in before.items() if name != refs[0].id
        }
        assert [row.task_id for row in await actions.deleted(deletion=progress.deletion)] == [refs[0].id]


def test_blocking_code_does_the_same(redis_url: str, tmp_path: Path) -> None:
    from rota.client import SyncClient

    broker = SyncBroker.from_url(redis_url)
    client = SyncClient(broker)
    client.enqueue_many([plan(delay="1h") for _ in range(1100)])
    actions = SyncActions(broker, trash=open_trash(f"sqlite:///{tmp_path}/rota.db", DatabaseSettings()))
    bulk = actions.bulk(Delete(), InState("default", "scheduled"))
    assert [progress.seen for progress in actions.batches(bulk)] == [1100, 1100]
    assert actions.undo_all(bulk.progress.deletion) == ["done"] * 1100
    assert actions.preview(InState("default", "scheduled")).count == 1100
    broker.close()


# Faults


@pytest.fixture
async def shaky(any_url: str) -> AsyncIterator[tuple[Actions, LosesReplies]]:
    """Actions behind a proxy that loses replies."""
    address = parse(as_role(any_url, "producer"))
    options = BrokerOptions(username=address.username, password=address.password)
    async with (
        LosesReplies(urlsplit(any_url).path) as proxy,
        Broker.from_url(f"{proxy.url}/{address.database}", options=options) as broker,
    ):
        yield Actions(broker), proxy


@pytest.mark.parametrize("losses", [1, 2, 3])
@pytest.mark.parametrize(
    "act", ["run", "archive", "delete", "cancel", "moveto", "reschedule", "free", "edit", "edit and run"]
)
async def test_lost_replies_leave_no_task_half_done_and_count_none_as_failed(
    client: Client, shaky: tuple[Actions, LosesReplies], desk: Desk, act: str, losses: int
) -> None:
    unique = "1h" if act == "free" else None
    refs = await fill(client, 300, delay="2h", unique=unique)
    actions, proxy = shaky
    many = FreeLock(force=True) if act == "free" else MANY[act]
    await done(actions, actions.bulk(many, Chosen(await fill(client, 1, delay="2h", queue="warm", unique=unique))))
    proxy.losses = losses
    progress = await done(actions, actions.bulk(many, Chosen(refs)))
    assert proxy.lost > 0
    assert (progress.done, progress.failed) == (300, 0)
    assert len(await desk.ids("scheduled")) == (300 if act in ("reschedule", "free", "edit") else 0)
    if act == "free":
        assert await desk.locks() == []
    if act.startswith("edit"):
        assert {(await desk.message(ref.id)).payload for ref in refs[::10]} == {b"new"}
        assert len(await desk.ids("pending")) == (300 if "run" in act else 0)
    if act == "moveto":
        assert len(await Desk(desk.broker, "there").ids("scheduled")) == 300 + 1


async def test_bulk_raises_when_the_server_is_away_and_goes_on_when_it_is_asked_again(
    client: Client, desk: Desk, any_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(client, 1500, delay="1h")
    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        actions = Actions(broker)
        bulk = actions.bulk(RunNow(), InState("default", "scheduled"))
        batches = actions.batches(bulk)
        assert (await anext(batches)).done == 1000

        async def away(calls: Any) -> list[Any]:
            return [BrokerUnavailable("away") for _ in calls]

        with monkeypatch.context() as patch:
            patch.setattr(broker, "run_many", away)
            with pytest.raises(BrokerUnavailable):
                await anext(batches)
        assert (bulk.progress.done, bulk.progress.failed) == (1000, 500)
        again = await done(actions, actions.bulk(RunNow(), InState("default", "scheduled")))
    assert (again.done, await desk.ids("scheduled")) == (500, [])
