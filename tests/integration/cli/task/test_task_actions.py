"""`rota task run`, `archive`, `delete`, `undo`, `cancel`, `edit`, `reschedule`, `move`, `requeue` and `unlock`."""

from collections.abc import Iterator

import pytest

from rota.client.steps import Act
from rota.errors import BrokerUnavailable
from rota.inspect import Bulk, BulkProgress
from rota.wire.keys import QueueKeys, unique_key
from tests.integration.cli.conftest import Done, Run
from tests.integration.inspect.state import State
from tests.servers.clients import client


@pytest.fixture
def state(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    monkeypatch.setenv("ROTA_URL", redis_url)
    raw = client(redis_url)
    yield State(raw)
    raw.close()


@pytest.fixture
def keys(state: State) -> QueueKeys:
    """A queue with three archived tasks, one that is scheduled and one that waits."""
    keys = state.queue("mail")
    for number in range(3):
        state.task(keys, f"a{number}", "archived", type="email:welcome", error_msg="timeout", payload=b'{"user":7}')
    state.task(keys, "s", "scheduled", type="email:bye")
    state.task(keys, "p", "pending", type="email:bye")
    return keys


@pytest.fixture
def task(command: Run, keys: QueueKeys) -> Run:
    def run(*words: str, typed: str = "") -> Done:
        return command("task", *words, typed=typed)

    return run


def ids(state: State, key: str) -> list[str]:
    kind = state.client.type(key)
    found = state.client.lrange(key, 0, -1) if kind == b"list" else state.client.zrange(key, 0, -1)
    return sorted(each.decode() for each in found) if kind != b"none" else []


def test_tasks_are_named_by_their_ids_in_any_queue(task: Run, state: State, keys: QueueKeys) -> None:
    done = task("run", "a0", "s")
    assert (done.code, done.out) == (0, "2 tasks now pending.\n")
    assert ids(state, keys.pending) == ["a0", "p", "s"]
    missing = task("run", "a1", "nobody")
    assert (missing.code, "No queue has a task 'nobody'" in missing.err) == (1, True)
    assert "a1" in ids(state, keys.archived)


def test_one_refusal_does_not_keep_the_others_from_being_done(task: Run, state: State, keys: QueueKeys) -> None:
    done = task("archive", "p", "nobody", "--queue", "mail")
    assert (done.code, done.out) == (1, "1 task archived.\n")
    assert "There is no task nobody in queue 'mail'" in done.err
    assert "p" in ids(state, keys.archived)


def test_act_on_all_shows_some_and_asks(task: Run, state: State, keys: QueueKeys) -> None:
    words = "run", "--all", "--queue", "mail", "--state", "archived"
    refused = task(*words, typed="n\n")
    assert (refused.code, ids(state, keys.archived)) == (1, ["a0", "a1", "a2"])
    assert "3 tasks." in refused.err
    assert "a0  email:welcome  archived" in refused.err
    assert "Run 3 tasks?" in refused.err
    done = task(*words, "--yes", "--json")
    assert (done.code, ids(state, keys.archived)) == (0, [])
    assert (done.json["act"], done.json["done"], done.json["total"], done.json["failures"]) == ("run", 3, 3, [])


def test_act_on_all_of_a_queue_that_is_not_there_is_an_error(task: Run, state: State, keys: QueueKeys) -> None:
    refused = task("delete", "--all", "--queue", "mial", "--state", "archived", "--yes")
    assert (refused.code, refused.out, "There is no queue 'mial'" in refused.err) == (1, "", True)


def test_act_on_all_that_a_query_finds(task: Run, state: State, keys: QueueKeys) -> None:
    done = task("cancel", "--where", "type:email:bye", "--reason", "no mail today", "--yes")
    assert (done.code, done.out) == (0, "2 tasks cancelled.\n")
    assert ids(state, keys.archived) == ["a0", "a1", "a2", "p", "s"]
    wrong = task("cancel", "--where", "color:red", "--yes")
    assert wrong.code == 2


def test_deleted_tasks_are_listed_and_put_back(task: Run, state: State, keys: QueueKeys) -> None:
    before = state.client.hgetall(keys.task("s"))
    assert task("delete", "s").out == "1 task deleted.\n"
    assert state.client.hgetall(keys.task("s")) == {}
    listed = task("undo", "--list")
    assert listed.out.splitlines()[1].split()[:4] == ["s", "mail", "email:bye", "scheduled"]
    assert task("undo", "--list", "--json").json[0]["deleted_by"].startswith("anna@")
    assert task("undo", "s").out == "1 task put back.\n"
    assert state.client.hgetall(keys.task("s")) == before
    assert task("undo", "s").code == 1

    gone = task("delete", "--all", "-q", "mail", "-s", "archived", "--yes")
    [deletion] = [line.split()[-1] for line in gone.err.splitlines() if "--deletion" in line]
    assert task("undo", "--deletion", deletion, "--json").json == {"done": 3, "failed": 0, "failures": []}
    again = task("delete", "a0", "a1", "--json").json
    assert task("undo", "a0").out == "1 task put back.\n"
    state.task(keys, "a1", "archived")
    taken = task("undo", "--deletion", again["deletion"], "--json")
    assert (taken.code, taken.json["done"], taken.json["failed"]) == (1, 0, 1)
    assert taken.json["failures"][0]["kind"] == "TaskIdConflict"
    unknown = task("undo", "--deletion", "x")
    assert unknown.code == 1
    assert "No task of the deletion 'x' is kept." in unknown.err
    assert ids(state, keys.archived) == ["a0", "a1", "a2"]


def test_act_that_is_cut_off_prints_what_was_done_before_the_error(task: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Bulk.next_batch

    def cut_off(bulk: Bulk) -> Act[BulkProgress | None]:
        if bulk.progress.seen:
            raise BrokerUnavailable("The server is away.")
        return (yield from whole(bulk))

    monkeypatch.setattr(Bulk, "next_batch", cut_off)
    words = "--all", "-q", "mail", "-s", "archived", "--yes"
    done = task("run", *words, "--json")
    assert (done.code, done.json["done"], done.json["ended"], "is away" in done.err) == (1, 3, False, True)
    told = task("archive", "--all", "-q", "mail", "-s", "pending", "--yes")
    assert (told.code, told.out, "is away" in told.err) == (1, "4 tasks archived.\n", True)
    wrong = task("run", "nobody", "--json")
    assert (wrong.code, wrong.out) == (1, "")


def test_deletion_that_cannot_be_kept_says_so_and_promises_no_undo(
    task: Run, state: State, keys: QueueKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTA_DELETED_MAX_BYTES", "500")
    words = ("delete", "--all", "-q", "mail", "-s", "archived", "--yes")
    refused = task(*words)
    assert (refused.code != 0, refused.out) == (True, "0 tasks deleted.\n")
    assert "Nothing was deleted: 3 tasks of about" in refused.err
    assert ("--no-undo" in refused.err, "To put them back" in refused.err) == (True, False)
    assert refused.err.count("Nothing was deleted") == 1
    assert (ids(state, keys.archived), task("undo", "--list").out) == (["a0", "a1", "a2"], "")
    gone = task(*words, "--no-undo")
    assert (gone.code, gone.out, "To put them back" in gone.err) == (0, "3 tasks deleted.\n", False)


def test_move_and_reschedule(task: Run, state: State, keys: QueueKeys) -> None:
    refused = task("move", "s", "--to", "lwo")
    assert (refused.code, "There is no queue 'lwo'" in refused.err) == (1, True)
    assert task("move", "s", "--to", "low", "--create").out == "1 task moved.\n"
    low = QueueKeys("low")
    assert (ids(state, low.scheduled), ids(state, keys.scheduled)) == (["s"], [])
    assert task("reschedule", "s", "--delay", "2h").code == 0
    assert state.client.zscore(low.scheduled, "s") > state.now + 7000


def test_edit_reads_the_payload_from_the_arguments(task: Run, state: State, keys: QueueKeys) -> None:
    done = task("edit", "a0", '{"user": 8}', "--run")
    assert (done.code, done.out) == (0, "1 task with the new payload, now pending.\n")
    assert b'{"user": 8}' in state.client.hget(keys.task("a0"), "msg")
    assert "a0" in ids(state, keys.pending)


def test_stuck_task_is_put_back(task: Run, state: State, keys: QueueKeys) -> None:
    state.task(keys, "stuck", "active")
    assert task("requeue", "stuck").code == 1
    state.client.zadd(keys.lease, {"stuck": int(state.now) - 100})
    assert task("requeue", "--all", "--queue", "mail", "--yes").out == "1 task put back.\n"
    assert "stuck" in ids(state, keys.pending)


def test_lock_is_freed_by_its_task_or_by_type_and_payload(task: Run, state: State, keys: QueueKeys) -> None:
    lock = unique_key(keys, "t", b"1")
    state.task(keys, "u", "pending", {"unique_key": lock}, unique_key=lock, payload=b"1")
    state.client.set(lock, "u")
    held = task("unlock", "u")
    assert (held.code, "the task holds it" in held.err) == (1, True)
    asked = task("unlock", "u", "--force", typed="n\n")
    assert (asked.code, "Free the unique locks of 1 task, so that second ones can run" in asked.err) == (1, True)
    assert task("unlock", "u", "--force", "--yes").out == "1 task without a lock now.\n"
    plain = task("unlock", "p", "u")
    assert (plain.code, "Of these, 2 tasks needed no change." in plain.err) == (0, True)
    state.client.set(lock, "gone")
    assert task("unlock", "--type", "t", "--payload", "1", "-q", "mail").out == "The lock was freed.\n"
    assert task("unlock", "--type", "t", "--payload", "1", "-q", "mail").out == "The lock was free.\n"


def test_payloads_of_many_get_other_values_and_the_locks_of_many_are_freed(
    task: Run, state: State, keys: QueueKeys
) -> None:
    words = "edit", "--set", "user=8", "--set", "to.city=Bonn", "--where", "state:archived type:email:*", "--run"
    asked = task(*words, typed="n\n")
    assert (asked.code, "Replace the payload of 3 tasks and run them?" in asked.err) == (1, True)
    done = task(*words, "--yes", "--json")
    assert (done.code, done.json["act"], done.json["done"], done.json["same"]) == (0, "edit", 3, 0)
    for name in ("a0", "a1", "a2"):
        assert b'{"user":8, "to": {"city": "Bonn"}}' in state.client.hget(keys.task(name), "msg")
    assert ids(state, keys.pending) == ["a0", "a1", "a2", "p"]
    whole = task("edit", "--all", "-q", "mail", "-s", "pending", '{"user": 9}', "--yes")
    assert (whole.code, whole.out) == (0, "4 tasks with the new payload.\n")
    mixed = task("edit", "a0", "s", "--set", "user=10")
    assert (mixed.code, mixed.out) == (1, "1 task with the new payload.\n")
    assert "The payload of task s in queue 'mail' was left as it is: it is not JSON" in mixed.err
    freed = task("unlock", "--all", "-q", "mail", "-s", "pending", "--yes")
    assert (freed.code, freed.out) == (0, "4 tasks without a lock now.\n")


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "a0", "--all"],
        ["run", "a0", "--where", "x"],
        ["run", "--all", "--queue", "mail"],
        ["run", "--all", "--state", "archived"],
        ["run", "--all", "--queue", "mail", "--state", "archvied"],
        ["run", "a0", "--state", "archived"],
        ["run", "--where", "x", "--queue", "mail"],
        ["move", "a0"],
        ["reschedule", "s"],
        ["reschedule", "s", "--delay", "1h", "--at", "2030-01-01T00:00"],
        ["undo"],
        ["undo", "--deletion", "x", "--queue", "mail"],
        ["unlock"],
        ["unlock", "--type", "t"],
        ["unlock", "p", "--type", "t", "--key", "k"],
        ["unlock", "p", "--key", "k"],
        ["edit"],
        ["edit", "a0"],
        ["edit", "{}"],
        ["edit", "--set", "user=1"],
        ["edit", "a0", "--set", "user"],
        ["edit", "a0", "--set", f"user={'[' * 20_000}"],
        ["edit", "a0", "--set", "us er..=1"],
    ],
)
def test_wrong_use_is_refused_before_anything_is_written(task: Run, state: State, words: list[str]) -> None:
    before = state.everything()
    done = task(*words)
    assert (done.code, bool(done.err)) == (2, True)
    assert state.everything() == before
