"""Pages by cursor, while tasks come, go and move between two pages."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.broker.sync import SyncBroker
from rota.errors import OptionError, QueueNotFound
from rota.inspect import Inspector, SyncInspector, TaskList
from rota.wire.keys import QueueKeys
from tests.integration.inspect.state import State
from tests.servers.roles import as_role

STATES = ("pending", "active", "scheduled", "retry", "archived", "completed")


@pytest.fixture
def twin(redis_url: str) -> Iterator[SyncInspector]:
    with SyncBroker.from_url(as_role(redis_url, "inspector")) as broker:
        yield SyncInspector(broker)


def ids(page: TaskList) -> list[str]:
    return [task.id for task in page.tasks]


def rest(twin: SyncInspector, state: str, page: TaskList, size: int, **more: Any) -> list[str]:
    """The IDs on all pages after this one."""
    found: list[str] = []
    while page.next is not None:
        page = twin.tasks("default", state, cursor=page.next, size=size, **more)
        found += ids(page)
    return found


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_pages_by_cursor_have_every_task_once_in_order(twin: SyncInspector, state: State, name: str, size: int) -> None:
    keys = state.queue()
    for i in range(7):
        state.task(keys, f"t{i}", name)
    whole = ids(twin.tasks("default", name, size=500))
    first = twin.tasks("default", name, size=size)
    assert ids(first) + rest(twin, name, first, size) == whole
    assert (first.total, first.next is None) == (7, size >= 7)
    assert [task for page in twin.all_tasks("default", name, size=size) for task in ids(page)] == whole


async def test_all_tasks_can_be_read_for_asyncio_too(inspector: Inspector, state: State) -> None:
    keys = state.queue()
    for i in range(5):
        state.task(keys, f"t{i}", "aggregating", group_key="g")
    pages = [ids(page) async for page in inspector.all_tasks("default", "aggregating", group="g", size=2)]
    assert pages == [["t0", "t1"], ["t2", "t3"], ["t4"]]
    state.queue("empty")
    assert [page.total async for page in inspector.all_tasks("empty", "pending")] == [0]
    with pytest.raises(QueueNotFound):
        _ = [page async for page in inspector.all_tasks("nowhere", "pending")]


class TestSets:
    """Sets go on after the score and the ID of the last task."""

    @pytest.fixture
    def keys(self, state: State) -> QueueKeys:
        keys = state.queue()
        for task_id, score in {"b": 1, "é": 1, "a": 1, "B": 1, "c": 2, "d": 3.25, "e": 4}.items():
            state.task(keys, task_id, "scheduled")
            state.client.zadd(keys.scheduled, {task_id: score})
        return keys

    def test_tasks_of_one_score_are_in_the_order_of_their_bytes(self, twin: SyncInspector, keys: QueueKeys) -> None:
        first = twin.tasks("default", "scheduled", size=2)
        assert ids(first) + rest(twin, "scheduled", first, 2) == ["B", "a", "b", "é", "c", "d", "e"]

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
    def test_a_page_goes_on_after_a_last_task_that_is_gone(
        self, twin: SyncInspector, state: State, keys: QueueKeys, size: int
    ) -> None:
        first = twin.tasks("default", "scheduled", size=size)
        state.client.zrem(keys.scheduled, *ids(first))
        assert ids(first) + rest(twin, "scheduled", first, 2) == ["B", "a", "b", "é", "c", "d", "e"]

    def test_a_last_task_that_moved_to_later_comes_again(
        self, twin: SyncInspector, state: State, keys: QueueKeys
    ) -> None:
        first = twin.tasks("default", "scheduled", size=2)
        state.client.zadd(keys.scheduled, {"a": 100})
        assert rest(twin, "scheduled", first, 3) == ["b", "é", "c", "d", "e", "a"]

    def test_new_tasks_do_not_move_the_page(self, twin: SyncInspector, state: State, keys: QueueKeys) -> None:
        first = twin.tasks("default", "scheduled", size=3)
        state.client.zadd(keys.scheduled, {f"0{i}": 0 for i in range(50)} | {"new": 3.5})
        assert rest(twin, "scheduled", first, 2) == ["é", "c", "d", "new", "e"]


class TestLists:
    """Lists go on after the last ID, if what precedes it is still the same."""

    @pytest.fixture
    def keys(self, state: State) -> QueueKeys:
        keys = state.queue()
        for i in range(12):
            state.task(keys, f"{i:02}", "pending")
        return keys

    @pytest.mark.parametrize("taken", range(13))
    def test_tasks_that_are_taken_meanwhile_move_the_page(
        self, twin: SyncInspector, state: State, keys: QueueKeys, taken: int
    ) -> None:
        first = twin.tasks("default", "pending", size=4)
        for _ in range(taken):
            state.client.rpop(keys.pending)
        assert rest(twin, "pending", first, 3) == [f"{i:02}" for i in range(max(4, taken), 12)]

    def test_new_tasks_do_not_move_the_page(self, twin: SyncInspector, state: State, keys: QueueKeys) -> None:
        first = twin.tasks("default", "pending", size=4)
        state.client.lpush(keys.pending, "new")
        assert rest(twin, "pending", first, 5) == [*(f"{i:02}" for i in range(4, 12)), "new"]

    def test_a_page_goes_on_though_its_last_task_was_deleted(
        self, twin: SyncInspector, state: State, keys: QueueKeys
    ) -> None:
        first = twin.tasks("default", "pending", size=4)
        state.client.lrem(keys.pending, 0, "03")
        assert rest(twin, "pending", first, 5) == [f"{i:02}" for i in range(4, 12)]

    def test_pages_of_one_task_go_on_too(self, twin: SyncInspector, state: State, keys: QueueKeys) -> None:
        page = twin.tasks("default", "pending", size=1)
        for _ in range(3):
            page = twin.tasks("default", "pending", size=1, cursor=page.next)
        state.client.rpop(keys.pending)
        assert rest(twin, "pending", page, 1) == [f"{i:02}" for i in range(4, 12)]

    def test_a_last_task_that_was_put_back_hides_no_unseen_task(
        self, twin: SyncInspector, state: State, keys: QueueKeys
    ) -> None:
        first = twin.tasks("default", "pending", size=10)
        for _ in range(10):
            state.client.rpop(keys.pending)
        state.client.lpush(keys.pending, "09")  # taken, failed, and pending again
        assert rest(twin, "pending", first, 10) == ["10", "11", "09"]

    def test_a_task_that_was_put_to_the_front_hides_none(
        self, twin: SyncInspector, state: State, keys: QueueKeys
    ) -> None:
        first = twin.tasks("default", "pending", size=4)
        state.client.rpush(keys.pending, "handed back")
        assert set(rest(twin, "pending", first, 4)) >= {f"{i:02}" for i in range(4, 12)}


def test_a_position_far_from_the_front_is_found_again(twin: SyncInspector, state: State) -> None:
    keys = state.queue()
    state.client.lpush(keys.pending, *(f"t{i}" for i in range(16_000)))
    page = twin.tasks("default", "pending", page=32, size=500)
    assert ids(page)[-1] == "t15999"
    page = twin.tasks("default", "pending", page=31, size=500)
    assert ids(page)[-1] == "t15499"
    state.client.ltrim(keys.pending, 0, 600)  # all but the newest 601 were taken
    assert ids(twin.tasks("default", "pending", cursor=page.next, size=2)) == ["t15500", "t15501"]
    state.client.ltrim(keys.pending, 0, 99)
    assert ids(twin.tasks("default", "pending", cursor=page.next, size=2)) == ["t15900", "t15901"]


def test_a_page_with_large_results_is_read_in_several_calls(
    twin: SyncInspector, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = state.queue()
    for i in range(7):
        state.task(keys, f"t{i}", "completed", {"result": bytes(300 * 1024)})
    calls: list[str] = []
    run = twin._requests._broker.run
    monkeypatch.setattr(twin._requests._broker, "run", lambda call: calls.append(call.script.name) or run(call))
    page = twin.tasks("default", "completed", size=6)
    assert (ids(page), {len(task.result) for task in page.tasks}) == ([f"t{i}" for i in range(6)], {300 * 1024})
    assert calls == ["look_tasks"] * 2
    assert rest(twin, "completed", page, 6) == ["t6"]


def cursor(*words: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(words).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"cursor": "x"}, "no cursor"),
        ({"cursor": "é"}, "no cursor"),
        ({"cursor": ""}, "no cursor"),
        ({"cursor": cursor(1, 2)}, "no cursor"),
        ({"cursor": cursor("scheduled", "soon", "a")}, "no cursor"),
        ({"cursor": cursor("scheduled", "nan", "a")}, "no cursor"),
        ({"cursor": cursor("scheduled", "1", "a", 7)}, "no cursor"),
        ({"cursor": cursor("pending", "1", "a")}, "belongs to a list of pending tasks"),
        ({"cursor": cursor("scheduled", "1", "a"), "page": 2}, "give one of both"),
    ],
)
def test_a_cursor_that_is_none_is_refused(twin: SyncInspector, state: State, options: Any, what: str) -> None:
    state.queue()
    with pytest.raises(OptionError, match=what):
        twin.tasks("default", "scheduled", **options)


Change = Callable[[State, QueueKeys, int], None]
CHANGES: dict[str, Change] = {
    "take": lambda state, keys, _: state.client.rpop(keys.pending),
    "add": lambda state, keys, n: state.client.lpush(keys.pending, f"new{n}"),
    "delete": lambda state, keys, n: state.client.lrem(keys.pending, 1, f"{n % 20:02}"),
    "hand back": lambda state, keys, n: state.client.rpush(keys.pending, f"back{n}"),
}
STEPS = st.lists(st.tuples(st.sampled_from(["page", "page", *CHANGES]), st.integers(0, 99)), max_size=40)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, size=st.integers(1, 6))
def test_no_task_that_stays_is_ever_passed_over(
    twin: SyncInspector, state: State, steps: list[tuple[str, int]], size: int
) -> None:
    state.client.flushdb()
    keys = state.queue()
    state.client.lpush(keys.pending, *(f"{i:02}" for i in range(20)))
    began = set(state.client.lrange(keys.pending, 0, -1))
    page = twin.tasks("default", "pending", size=size)
    seen = set(ids(page))
    for number, (what, n) in enumerate(steps):
        if what != "page":
            CHANGES[what](state, keys, n if what == "delete" else 100 * number + n)
        elif page.next is not None:
            page = twin.tasks("default", "pending", cursor=page.next, size=size)
            seen.update(ids(page))
    for _ in range(200):
        if page.next is None:
            break
        page = twin.tasks("default", "pending", cursor=page.next, size=size)
        seen.update(ids(page))
    assert page.next is None
    stayed = began & set(state.client.lrange(keys.pending, 0, -1))
    assert {name.decode() for name in stayed} <= seen
