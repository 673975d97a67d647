"""Tasks whose state and places do not agree: which is right, and what two sweeps make of it (scenario 6)."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rota.wire.reconcile import BEGIN, places
from rota.worker.housekeeping.reconciler import Reconciler
from tests.integration.worker.sweeping import repair
from tests.integration.worker.yard import QUEUE, Yard, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


@pytest.fixture
def reconciler(yard: Yard) -> Reconciler:
    return Reconciler(yard.broker, patience=timedelta(0))


async def test_a_task_whose_state_names_another_place_than_its_own_is_corrected(
    yard: Yard, reconciler: Reconciler
) -> None:
    """Asynq's archive script stops half-way on an old server: the task is in `archived` and says `active`."""
    await yard.put("half-way", "archived", await yard.now())
    await yard.hash("half-way", state="active")
    assert await repair(yard, reconciler) == {"relabelled": 1}
    assert (await yard.fields("half-way"))["state"] == b"archived"
    assert await yard.members(yard.keys.archived) == ["half-way"]


@pytest.mark.parametrize("taken", [False, True])
async def test_a_task_of_a_group_whose_state_names_another_place_is_not_put_there_too(
    yard: Yard, reconciler: Reconciler, taken: bool
) -> None:
    await yard.grouped("a", "mails", 5)
    if taken:
        await yard.execute("RENAME", yard.keys.group("mails"), yard.keys.group("mails") + ":set-1")
        await yard.execute("ZADD", yard.keys.aggregation_sets, 9e9, yard.keys.group("mails") + ":set-1")
    await yard.hash("a", state="pending")
    assert await repair(yard, reconciler) == {"relabelled": 1}
    assert await yard.members(yard.keys.pending) == []
    assert (await yard.fields("a"))["state"] == b"aggregating"


async def test_a_running_task_whose_state_names_another_place_keeps_its_lease(yard: Yard) -> None:
    """Even if its lease comes by before its place does."""
    far = await yard.now() + 1000
    for task_id in ("oldest", "other", "running"):
        await yard.active(task_id, far)
    await yard.hash("running", state="scheduled")
    cursors, troubles = BEGIN, []
    while any(cursors):
        [page] = await yard.broker.run(places({yard.keys: cursors}, 1))
        cursors = page.cursors
        troubles += [(finding.id, finding.trouble) for finding in page.findings]
    assert troubles == [(b"running", "misplaced")]


async def test_what_two_sweeps_have_found_is_repaired_and_counted_once(yard: Yard, reconciler: Reconciler) -> None:
    other = Reconciler(yard.broker, patience=timedelta(0))
    await yard.execute("LPUSH", yard.keys.pending, "ghost")
    await yard.put("twice", "retry", await yard.now() + 60)
    await yard.execute("ZADD", yard.keys.archived, 5, "twice")
    await yard.execute("ZADD", yard.keys.lease, 9e9, "gone")
    await other.walk([QUEUE], [QUEUE])
    once = {"ghost": 1, "misplaced": 1, "stray_lease": 1}
    assert await repair(yard, reconciler) == once
    await other.repair()
    assert other.statistics() == {}
    assert await repair(yard, reconciler) == once


async def test_an_id_in_two_places_stays_where_the_task_says(yard: Yard, reconciler: Reconciler) -> None:
    await yard.put("twice", "retry", await yard.now() + 60)
    await yard.execute("LPUSH", yard.keys.active, "twice")
    await yard.execute("ZADD", yard.keys.archived, 5, "twice")
    assert await repair(yard, reconciler) == {"misplaced": 1}
    assert await repair(yard, reconciler) == {"misplaced": 2}
    assert await yard.members(yard.keys.retry) == ["twice"]
    assert await yard.members(yard.keys.active) == await yard.members(yard.keys.archived) == []
