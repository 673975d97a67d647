import json
import random
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from rota.broker.sync import SyncBroker
from rota.errors import OptionError, QueryError
from rota.inspect import Inspector, SyncInspector, TaskRef
from rota.inspect.candidate import Candidate, Hit
from rota.inspect.match import Matcher
from rota.inspect.query_parser import parse
from rota.inspect.search_position import SearchPage
from rota.inspect.task_search import Search
from rota.tasks.job import TaskState
from rota.wire import scan
from rota.wire.keys import Keys, QueueKeys
from tests.integration.inspect.state import State
from tests.servers.roles import as_role

STATES = [state.value for state in TaskState]
KEYS = Keys()


async def hits(inspector: Inspector, query: str, **words: Any) -> list[Hit]:
    return [hit async for page in inspector.search(query, **words) for hit in page.hits]


async def ids(inspector: Inspector, query: str, **words: Any) -> list[str]:
    return [hit.ref.id for hit in await hits(inspector, query, **words)]


def timed(state: State, query: str) -> str:
    """Write times relative to the clock of the state into a query."""
    past, soon = (datetime.fromtimestamp(state.now + seconds, UTC).isoformat() for seconds in (-60.5, 30.5))
    return query.format(past=past, soon=soon)


def fill(state: State, tasks: int, seed: int = 1) -> None:
    """Put tasks of all states into some queues."""
    chance = random.Random(seed)
    keys = [state.queue(name) for name in ("default", "mail", "mail:low")]
    for number in range(tasks):
        payload = json.dumps({"user": {"id": number % 7}, "text": chance.choice(["Zug", "中文", "x"])})
        state.task(
            chance.choice(keys),
            f"id-{number}",
            chance.choice(STATES),
            {"pending_since": int((state.now - number) * 1e9)},
            type=chance.choice(["email:welcome", "email:bye", "report"]),
            payload=payload.encode(),
            error_msg=chance.choice(["", "Timeout after 3 s", "connection refused"]),
            group_key=chance.choice(["g1", "g2"]),
        )


def brute_force(state: State, query: str) -> set[tuple[str, str, str]]:
    """Compare each task in its list or set with the query, one by one, without a search."""
    matcher = Matcher(parse(query), datetime.fromtimestamp(state.now, UTC))
    found: set[tuple[str, str, str]] = set()
    for raw in state.client.smembers("asynq:queues"):
        queue = raw.decode()
        if not matcher.takes_queue(queue):
            continue
        keys = QueueKeys(queue)
        groups = [keys.group(name.decode()) for name in state.client.smembers(keys.groups)]
        places = [(keys.base + each, each) for each in STATES if each != "aggregating"]
        for key, name in [*places, *((group, "aggregating") for group in groups)]:
            is_list = name in ("pending", "active")
            members = state.client.lrange(key, 0, -1) if is_list else state.client.zrange(key, 0, -1, withscores=True)
            for member in members:
                task_id, score = (member, None) if is_list else member
                fields = {k.decode(): v for k, v in state.client.hgetall(keys.task(task_id.decode())).items()}
                task = Candidate(queue, task_id.decode(), TaskState(name), score, fields)
                if TaskState(name) in matcher.states and matcher.matches(task):
                    found.add((queue, task_id.decode(), name))
    return found


QUERIES = [
    "",
    "type:email:*",
    "state:retry,archived timeout",
    "-state:completed -type:report",
    "queue:mail* payload.user.id:3",
    "中文",
    "error:*",
    "-error:* zug",
    "group:g1 state:aggregating",
    "id:id-1*",
    "after:{past}",
    "before:{soon} -state:aggregating",
    "after:{soon} state:scheduled,retry",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_search_finds_what_a_comparison_of_each_task_finds(inspector: Inspector, state: State, query: str):
    fill(state, 300)
    query = timed(state, query)
    found = await hits(inspector, query)
    assert {(hit.ref.queue, hit.ref.id, hit.state.value) for hit in found} == brute_force(state, query)
    assert len({hit.ref for hit in found}) == len(found)


@pytest.mark.parametrize("query", QUERIES)
async def test_search_in_small_steps_finds_the_same(inspector: Inspector, state: State, query: str):
    fill(state, 60)
    query = timed(state, query)
    found: list[Hit] = []
    cursor = None
    while True:
        pages = [page async for page in inspector.search(query, limit=1, cursor=cursor)]
        found += [hit for page in pages for hit in page.hits]
        cursor = pages[-1].cursor
        if pages[-1].is_last:
            break
    assert {(hit.ref.queue, hit.ref.id, hit.state.value) for hit in found} == brute_force(state, query)
    assert len({hit.ref for hit in found}) == len(found)


async def test_hit_says_what_the_search_has_seen(inspector: Inspector, state: State):
    keys = state.queue("low")
    state.task(
        keys, "a", "retry", type="t", payload=b"\xff", error_msg="boom", retried=2, retry=5, last_failed_at=1700000000
    )
    [hit] = await hits(inspector, "state:retry")
    assert hit == Hit(
        ref=TaskRef("low", "a"),
        state=TaskState.RETRY,
        at=datetime.fromtimestamp(int(state.now) + 60, UTC),
        type="t",
        payload=b"\xff",
        error="boom",
        failed_at=datetime.fromtimestamp(1700000000, UTC),
        retried=2,
        max_retry=5,
        group="",
    )


async def test_page_says_how_many_tasks_were_looked_at(inspector: Inspector, state: State):
    fill(state, 300)
    pages = [page async for page in inspector.search("type:report")]
    assert pages[-1].is_last
    assert pages[-1].scanned == pages[-1].total == pages[0].total == 300
    assert [page.scanned for page in pages] == sorted(page.scanned for page in pages)
    [*_, last] = [page async for page in inspector.search("state:retry queue:mail")]
    assert last.scanned == state.client.zcard(QueueKeys("mail").retry)


async def test_query_for_ids_reads_these_tasks_only(inspector: Inspector, state: State):
    fill(state, 50)
    state.task(state.queue("other"), "id-7", "archived")
    pages = [page async for page in inspector.search("id:id-7,id-8,nobody")]
    assert {hit.ref.id for page in pages for hit in page.hits} == {"id-7", "id-8"}
    assert [hit.ref.queue for page in pages for hit in page.hits if hit.state is TaskState.ARCHIVED].count("other") == 1
    assert pages[-1].scanned == 3 * 4
    assert await ids(inspector, "id:id-7 queue:other state:retry") == []
    assert await ids(inspector, "id:id-7 queue:other before:1s") == ["id-7"]


async def test_query_for_ids_reads_many_queues_at_once_and_stops_at_its_limit(inspector: Inspector, state: State):
    for number in range(80):
        state.task(state.queue(f"q{number:02}"), "a", "pending")
        state.task(state.queue(f"q{number:02}"), "b", "retry", {"result": "x" * 400_000})
    pages = [page async for page in inspector.search("id:a,b")]
    assert len(pages) < 80
    assert pages[-1].scanned == pages[-1].total == 160
    assert len({hit.ref for page in pages for hit in page.hits}) == 160
    found: list[TaskRef] = []
    cursor = None
    for limit in (1, 2, 3, 200):
        part = [page async for page in inspector.search("id:a,b", limit=limit, cursor=cursor)]
        found += [hit.ref for page in part for hit in page.hits]
        cursor = part[-1].cursor
    assert found == [TaskRef(f"q{number:02}", id) for number in range(80) for id in "ab"]


async def test_query_for_ids_sees_when_a_task_joined_its_group(inspector: Inspector, state: State):
    state.task(state.queue(), "a", "aggregating", {"group": "g"}, group_key="g")
    assert await ids(inspector, "id:a after:1h before:+1h") == ["a"]


async def test_tasks_under_aggregation_are_found_too(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "waits", "aggregating", group_key="g")
    state.task(keys, "taken", "aggregating", group_key="g")
    state.client.zrem(keys.group("g"), "taken")
    state.client.zadd(keys.group("g:set1"), {"taken": 1})
    state.client.zadd(keys.aggregation_sets, {keys.group("g:set1"): int(state.now) + 100})
    assert sorted(await ids(inspector, "state:aggregating")) == ["taken", "waits"]


async def test_many_groups_are_read_page_by_page(inspector: Inspector, state: State):
    keys = state.queue()
    for number in range(700):
        state.task(keys, f"id-{number}", "aggregating", group_key=f"g{number % 350}")
    assert sorted(await ids(inspector, "state:aggregating")) == sorted(f"id-{number}" for number in range(700))


async def test_many_tasks_of_the_same_second_are_each_read_once(inspector: Inspector, state: State):
    keys = state.queue()
    for number in range(1200):
        state.task(keys, f"id-{number}", "archived")
    found = await ids(inspector, "state:archived")
    assert sorted(found) == sorted(f"id-{number}" for number in range(1200))


async def test_task_without_a_message_is_found_by_its_id_and_place(inspector: Inspector, state: State):
    keys = state.queue()
    state.place(keys, "gone", "pending")
    [hit] = await hits(inspector, "state:pending gone")
    assert (hit.ref.id, hit.type, hit.at) == ("gone", "", None)


async def test_id_that_is_not_text_is_kept_for_actions(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.lpush(keys.pending, b"\xff\xfe")
    [hit] = await hits(inspector, "state:pending")
    assert hit.ref.id.encode("utf-8", "surrogateescape") == b"\xff\xfe"


async def test_key_of_another_type_is_named_and_does_not_stop_the_search(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "a", "archived")
    state.client.set(keys.retry, "x")
    state.client.set(keys.groups, "x")
    [*_, last] = pages = [page async for page in inspector.search("")]
    assert [hit.ref.id for page in pages for hit in page.hits] == ["a"]
    assert set(last.unread) == {keys.retry, keys.groups}


async def test_large_messages_are_read_in_small_pages(inspector: Inspector, state: State):
    keys = state.queue()
    for number in range(8):
        state.task(keys, f"id-{number}", "pending", payload=b"x" * 400_000)
        state.task(keys, f"id-r{number}", "retry", payload=b"x" * 400_000)
    pages = [page async for page in inspector.search("")]
    assert sum(len(page.hits) for page in pages) == 16
    assert max(len(page.hits) for page in pages) == 1


async def test_query_that_is_wrong_is_refused_before_anything_is_read(inspector: Inspector):
    with pytest.raises(QueryError):
        await ids(inspector, "statt:x")


async def test_cursor_has_the_query_and_fits_no_other(inspector: Inspector, state: State):
    fill(state, 20)
    [*_, page] = [page async for page in inspector.search("type:email:*", limit=1)]
    rest = await ids(inspector, "", cursor=page.cursor)
    assert len(rest) == len(brute_force(state, "type:email:*")) - 1
    with pytest.raises(OptionError, match="another query"):
        await ids(inspector, "type:report", cursor=page.cursor)


@pytest.mark.parametrize("cursor", ["x", "", "ääää", "eJw", "A" * 50])
async def test_text_that_is_not_a_cursor_is_refused(inspector: Inspector, cursor: str):
    with pytest.raises(OptionError, match="cursor"):
        await ids(inspector, "", cursor=cursor)


# Tasks that move while a search reads. The search is stopped after each page, so the tests are exact.


def moving(state: State, keys: QueueKeys, name: str) -> list[Callable[[random.Random], None]]:
    """What other programs do between two pages: each of these changes a list or a set in its own way."""

    def members() -> list[bytes]:
        key = keys.base + name
        return state.client.lrange(key, 0, -1) if name in ("pending", "active") else state.client.zrange(key, 0, -1)

    def leave(chance: random.Random) -> None:
        going = [each for each in members() if each.startswith(b"goes")]
        for each in chance.sample(going, min(len(going), chance.randint(1, 400))):
            if name in ("pending", "active"):
                state.client.lrem(keys.base + name, 0, each)
            else:
                state.client.zrem(keys.base + name, each)

    def come(chance: random.Random) -> None:
        new = [f"new-{chance.random()}" for _ in range(chance.randint(1, 400))]
        if name in ("pending", "active"):
            state.client.lpush(keys.base + name, *new)
        else:
            state.client.zadd(keys.base + name, {each: int(state.now) + chance.randint(-100, 200) for each in new})

    def change(chance: random.Random) -> None:
        if name not in ("pending", "active"):
            going = [each for each in members() if each.startswith(b"goes")]
            for each in chance.sample(going, min(len(going), 50)):
                state.client.zadd(keys.base + name, {each: int(state.now) + chance.randint(-100, 200)})

    return [leave, come, change]


async def pages_of(inspector: Inspector, search: Search) -> SearchPage | None:
    page: SearchPage | None = await inspector.carry_out(search.next_batch())
    return page


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["pending", "active", "scheduled", "archived"])
async def test_task_that_stays_in_its_state_is_found_although_others_come_and_go(
    inspector: Inspector, state: State, name: str, seed: int
):
    chance = random.Random(seed)
    keys = state.queue()
    all_ids = [f"{'stays' if number % 3 == 0 else 'goes'}-{number}" for number in range(3000)]
    chance.shuffle(all_ids)
    if name in ("pending", "active"):
        state.client.lpush(keys.base + name, *all_ids)
    else:
        state.client.zadd(keys.base + name, {each: int(state.now) + chance.randint(0, 3) for each in all_ids})
    search = Search(KEYS, parse(f"state:{name}"))
    found: list[str] = []
    while (page := await pages_of(inspector, search)) is not None:
        found += [hit.ref.id for hit in page.hits]
        assert not page.unread
        for change in moving(state, keys, name):
            change(chance)
    assert {each for each in all_ids if each.startswith("stays")} <= set(found)
    assert len(found) == len(set(found))


async def test_list_that_has_moved_far_is_read_on_from_the_same_position(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.lpush(keys.pending, *[f"id-{number}" for number in range(3000)])
    search = Search(KEYS, parse("state:pending"))
    first = await pages_of(inspector, search)
    assert first is not None
    state.client.lpush(keys.pending, *[f"new-{number}" for number in range(20_000)])
    scanned, found = first.scanned, [hit.ref.id for hit in first.hits]
    while (page := await pages_of(inspector, search)) is not None:
        found += [hit.ref.id for hit in page.hits]
        scanned = page.scanned
    assert sorted(found) == sorted(f"id-{number}" for number in range(3000))
    assert scanned == 3000


async def test_list_that_has_lost_all_known_tasks_is_read_again(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.lpush(keys.pending, *[f"id-{number}" for number in range(1000)])
    search = Search(KEYS, parse("state:pending"))
    first = await pages_of(inspector, search)
    assert first is not None
    for hit in first.hits[-scan.ANCHORS :]:
        state.client.lrem(keys.pending, 0, hit.ref.id)
    found = [hit.ref.id for hit in first.hits]
    while (page := await pages_of(inspector, search)) is not None:
        found += [hit.ref.id for hit in page.hits]
        assert not page.unread
    assert sorted(found) == sorted(f"id-{number}" for number in range(1000))


async def test_tasks_that_an_action_takes_away_do_not_stop_the_search(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.lpush(keys.pending, *[f"id-{number}" for number in range(6000)])
    search = Search(KEYS, parse("state:pending"))
    found: list[str] = []
    while (page := await pages_of(inspector, search)) is not None:
        found += [hit.ref.id for hit in page.hits]
        assert not page.unread
        for hit in page.hits:
            state.client.lrem(keys.pending, 0, hit.ref.id)
    assert sorted(found) == sorted(f"id-{number}" for number in range(6000))


async def test_list_that_changes_all_the_time_is_given_up_and_named(inspector: Inspector, state: State):
    keys = state.queue()
    search = Search(KEYS, parse("state:pending"))
    state.client.lpush(keys.pending, *[f"id-{number}" for number in range(1000)])
    unread: tuple[str, ...] = ()
    rounds = 0
    while (page := await pages_of(inspector, search)) is not None:
        rounds += 1
        assert rounds < 50
        state.client.delete(keys.pending)
        state.client.lpush(keys.pending, *[f"id-{rounds}-{number}" for number in range(1000)])
        unread = page.unread
    assert unread == (keys.pending,)


async def test_search_goes_on_after_an_error_without_a_gap(inspector: Inspector, state: State):
    fill(state, 40)
    search = Search(KEYS, parse(""))
    act = search.next_batch()
    next(act)
    act.close()  # the program died or the connection broke in the middle of a page
    found: list[Hit] = []
    while (page := await pages_of(inspector, search)) is not None:
        found += page.hits
    assert len(found) == 40


async def test_worker_of_a_running_task_is_found(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "a", "active", {"rota_token": "web-1-77-1700000000000000000"})
    state.task(keys, "b", "active", {"rota_token": "web-2-77-1700000000000000000"})
    assert await ids(inspector, "worker:web-1*") == ["a"]


async def test_sync_inspector_searches_as_the_other_one_does(redis_url: str, state: State):
    fill(state, 30)
    with SyncBroker.from_url(as_role(redis_url, "inspector")) as broker:
        found = [hit.ref for page in SyncInspector(broker).search("type:email:*") for hit in page.hits]
    assert len(found) == len(brute_force(state, "type:email:*"))


def test_search_of_many_tasks_needs_no_more_memory_than_one_of_few(redis_url: str, state: State):
    """Every task matches, and nobody keeps the hits."""
    peaks: list[int] = []
    with SyncBroker.from_url(as_role(redis_url, "inspector")) as broker:
        twin = SyncInspector(broker)
        for first, last in ((0, 600), (600, 3600)):
            for number in range(first, last):
                state.task(state.queue(), f"id-{number}", "scheduled", payload=b"x" * 500)
            assert sum(len(page.hits) for page in twin.search("type:t")) == last
            tracemalloc.start()
            try:
                assert sum(len(page.hits) for page in twin.search("type:t")) == last
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    hashes = 200 * 3000  # of the hits, so that none comes twice; at most 100,000
    assert peaks[1] < peaks[0] + hashes + 500_000
