"""Give many tasks another payload: the same for all, or other values in the payload that each has."""

import sys
from typing import Any
from uuid import uuid4

import pytest

from rota.client import Client
from rota.errors import ConfigError, OptionError, TaskNotFound
from rota.inspect import Actions, Archive, Chosen, EditPayload, InState, TaskRef
from rota.inspect.new_payloads import Editing
from rota.tasks.type_record import TypeRecord
from tests.integration.client.conftest import Desk, plan
from tests.integration.inspect.many import done, fill, publish_types, ref_of


async def test_archived_tasks_run_again_with_a_corrected_payload(client: Client, actions: Actions, desk: Desk) -> None:
    ids = [str(uuid4()) for _ in range(1200)]
    await client.enqueue_many(
        [plan(b'{"n": %d, "to": {"city": "x"}, "price": 1.10}' % n, task_id=i) for n, i in enumerate(ids)]
    )
    await done(actions, actions.bulk(Archive(), InState("default", "pending")))
    act = EditPayload(fields={"to.city": "Köln", "to.zip": "01067"}, run=True)
    seen = await actions.preview(InState("default", "archived"), act=act)
    assert seen.count == 1200
    progress = await done(actions, actions.bulk(act, InState("default", "archived")))
    assert (progress.done, progress.same, progress.failed) == (1200, 0, 0)
    assert (len(await desk.ids("pending")), await desk.ids("archived")) == (1200, [])
    wanted = '{"n": 1199, "to": {"city": "Köln", "zip": "01067"}, "price": 1.10}'
    assert (await desk.message(ids[1199])).payload.decode() == wanted
    again = await done(actions, actions.bulk(act, InState("default", "pending")))
    assert (again.done, again.same) == (1200, 1200)


@pytest.mark.parametrize("state", ["pending", "scheduled", "archived"])
async def test_each_task_of_a_state_gets_the_payload_once_and_stays(
    client: Client, actions: Actions, desk: Desk, state: str
) -> None:
    await fill(client, 2300, **({"delay": "1h"} if state == "scheduled" else {}))
    if state == "archived":
        await done(actions, actions.bulk(Archive(), InState("default", "pending")))
    before = await desk.ids(state)
    bulk, told = actions.bulk(EditPayload(b"new"), InState("default", state)), set[TaskRef]()
    async for _ in actions.batches(bulk):
        told.update(bulk.outcomes)
    assert (len(told), bulk.progress.failed, await desk.ids(state)) == (2300, 0, before)
    assert {(await desk.message(each)).payload for each in before[::50]} == {b"new"}


@pytest.mark.parametrize("run", [False, True])
async def test_waiting_tasks_get_the_payload_while_workers_take_some_and_others_come(
    client: Client, actions: Actions, desk: Desk, run: bool
) -> None:
    await fill(client, 3000)
    bulk = actions.bulk(EditPayload(b"new", run=run), InState("default", "pending"))
    async for progress in actions.batches(bulk):
        if progress.seen in (1000, 2000):
            await desk.take(300)
            await fill(client, 10)
    old = [each for each in await desk.ids("pending") if (await desk.message(each)).payload != b"new"]
    assert (len(old), bulk.progress.failed) == (20, 0)


async def test_payload_that_fits_no_task_leaves_each_as_it_was(client: Client, actions: Actions, desk: Desk) -> None:
    payloads = {b"no": "not JSON", b"[1]": "no element", b'{"a": 1}': "at a is neither", b"\xff": "not JSON"}
    jobs = [await client.enqueue(plan(each)) for each in payloads]
    good = await client.enqueue(plan(b'{"a": {}}'))
    bulk = actions.bulk(EditPayload(fields={"a.b": 1}), Chosen([*(ref_of(job) for job in jobs), ref_of(good)]))
    progress = await done(actions, bulk)
    assert (progress.done, progress.failed, dict(progress.reasons)) == (1, 4, {"PayloadError": 4})
    for job, (payload, reason), failure in zip(jobs, payloads.items(), progress.failures, strict=True):
        assert reason in str(failure.error)
        assert (await desk.message(job.id)).payload == payload
    assert (await desk.message(good.id)).payload == b'{"a": {"b": 1}}'
    for wrong in ({"payload": b"x", "fields": {"a": 1}}, {}, {"fields": {}}):
        with pytest.raises(OptionError, match="EditPayload needs a payload"):
            EditPayload(**wrong)  # type: ignore[arg-type]
    for fields in ({"a..b": 1}, {"": 1}, {"a": {1, 2}}, {"a": float("nan")}):
        with pytest.raises(OptionError):
            actions.bulk(EditPayload(fields=fields), Chosen([]))


@pytest.mark.parametrize("act", [EditPayload(b'{"a": 2}'), EditPayload(fields={"a": 2})])
async def test_broken_schema_of_a_type_leaves_its_tasks_as_they_were_and_edits_the_others(
    client: Client, actions: Actions, desk: Desk, act: EditPayload
) -> None:
    broken = {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}
    await publish_types(desk, TypeRecord(type="bad", schema=broken), TypeRecord(type="t", schema={"type": "object"}))
    jobs = [await client.enqueue(plan(b'{"a": 1}', type=type)) for type in ("bad", "t", "bad", "t")]
    progress = await done(actions, actions.bulk(act, Chosen(ref_of(job) for job in jobs)))
    assert (progress.ended, progress.done, dict(progress.reasons)) == (True, 2, {"PayloadError": 2})
    assert "The payload for bad cannot be checked" in str(progress.failures[0].error)
    payloads = [(await desk.message(job.id)).payload for job in jobs]
    assert payloads == [b'{"a": 1}', b'{"a": 2}'] * 2


async def test_edit_without_the_package_of_schemas_is_refused_before_the_first_task(
    client: Client, actions: Actions, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_types(desk, TypeRecord(type="t", schema={"type": "object"}))
    jobs = [await client.enqueue(plan(b"{}", type=type)) for type in ("of-go", "t")]
    refs = [ref_of(job) for job in jobs]
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    bulk = actions.bulk(EditPayload(b"[]"), Chosen(refs))
    with pytest.raises(ConfigError, match="Install rota"):
        await done(actions, bulk)
    assert (bulk.progress.seen, (await desk.message(refs[0].id)).payload) == (0, b"{}")
    progress = await done(actions, actions.bulk(EditPayload(b"[]", check=False), Chosen(refs)))
    assert progress.done == 2


async def test_unique_tasks_with_one_payload_become_one_and_the_others_stay(
    client: Client, actions: Actions, desk: Desk
) -> None:
    refs = await fill(client, 3, unique="1h", delay="1h")
    progress = await done(actions, actions.bulk(EditPayload(b"new", run=True), Chosen(refs)))
    assert (progress.done, dict(progress.reasons)) == (1, {"DuplicateTask": 2})
    assert (len(await desk.ids("pending")), len(await desk.locks())) == (1, 3)
    assert (await desk.message(refs[1].id)).payload == b"1"


async def test_message_that_another_program_changes_meanwhile_is_read_again(
    client: Client, actions: Actions, desk: Desk
) -> None:
    [ref, other] = await fill(client, 2, delay="1h")
    editing = Editing(EditPayload(b"new", run=True, check=False), actions._keys, actions._packer)
    act = editing.edit([ref, other])
    read = await actions._requests._take(act.send(None), None)
    await client.update_payload(*ref, b"of another")
    await client.delete(*other)

    def rest() -> Any:
        step = act.send(read)
        try:
            while True:
                answer = yield step
                step = act.send(answer)
        except StopIteration as end:
            return end.value

    [one, two] = await actions._requests.carry_out(rest())
    assert (one, type(two)) == ("done", TaskNotFound)
    assert ((await desk.message(ref.id)).payload, await desk.ids("pending")) == (b"new", [ref.id])


async def test_edit_of_large_payloads_takes_several_calls(client: Client, actions: Actions, desk: Desk) -> None:
    refs = [ref_of(await client.enqueue(plan(b"%d" % n + b"x" * 400_000, delay="1h"))) for n in range(7)]
    progress = await done(actions, actions.bulk(EditPayload(b"y" * 400_000), Chosen(refs)))
    assert (progress.done, progress.failed) == (7, 0)
    for ref in refs:
        assert (await desk.message(ref.id)).payload == b"y" * 400_000
