"""`rota stats`, `queue`, `group`, `cron` and `server` on a real server."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from rota.cli import stats_command
from rota.wire import server_record
from rota.wire.keys import Keys
from rota.wire.message import to_timestamp
from rota.wire.proto import SchedulerEnqueueEvent
from rota.wire.scheduler_entry import EntryRecord, entries_key, history_key, list_key, pack_entry
from rota.wire.server_record import RunningTask, ServerState
from tests.integration.cli.conftest import Done, Run
from tests.integration.inspect.state import State
from tests.servers.clients import client
from tests.servers.roles import as_role

KEYS = Keys()
Ask = Callable[..., Done]


@pytest.fixture
def state(redis_url: str) -> Iterator[State]:
    raw = client(redis_url)
    yield State(raw)
    raw.close()


@pytest.fixture
def ask(command: Run, redis_url: str) -> Ask:
    """Run a command as an inspector."""
    return lambda *words: command(*words, "--url", as_role(redis_url, "inspector"))


@pytest.fixture
def mail(state: State) -> State:
    keys = state.queue("mail")
    for i in range(3):
        state.task(keys, f"p{i}", "pending", {"pending_since": str(int((state.now - 3661) * 1e9))})
    state.task(keys, "a", "active")
    state.task(keys, "r", "retry")
    state.task(keys, "g", "aggregating", group_key="news")
    day = datetime.fromtimestamp(state.now, UTC).date()
    state.client.mset({keys.processed: 900, keys.failed: 9, f"{keys.processed}:{day}": 40, f"{keys.failed}:{day}": 10})
    server = ServerState(
        host="web1", pid=7, server_id="rota-1", concurrency=8, queues={"mail": 1}, active=1, started_ns=1
    )
    running = RunningTask(id="a", type="t", payload=b"\xff", queue="mail")
    own, workers = KEYS.server("web1", 7, "rota-1"), KEYS.worker("web1", 7, "rota-1")
    state.client.set(own, server_record.pack_server(server), ex=60)
    state.client.hset(workers, "a", server_record.pack_running(server, running))
    state.client.zadd(KEYS.servers, {own: state.now + 60})
    state.client.set(state.queue("low").paused, int(state.now) - 7200)
    return state


def words(done: Done) -> list[list[str]]:
    return [line.split() for line in done.out.splitlines()]


def test_stats_show_states_queues_runs_workers_and_the_server(ask: Ask, mail: State, one_day: None) -> None:
    done = ask("stats")
    assert done.code == 0
    lines = words(done)
    assert ["pending", "3"] in lines
    assert ["aggregating", "1"] in lines
    [queue] = [line for line in lines if line[:1] == ["mail"]]
    assert queue[1:7] == ["served", "6", "3", "1", "1h", "1m"]
    assert queue[7:10] == ["40", "10", "1"]
    assert next(line for line in lines if line[:1] == ["low"])[:2] == ["low", "paused"]
    assert "Today (UTC)  40 run, 10 failed (25.00%)" in done.out
    assert "Workers      1 worker; 1 of 8 slots busy" in done.out
    assert "Server       " in done.out


def test_stats_of_an_empty_server_say_so(ask: Ask) -> None:
    done = ask("stats")
    assert (done.code, "There are no queues" in done.err) == (0, True)
    assert "Today (UTC)  0 run, 0 failed (-)" in done.out


def test_stats_for_programs_have_all_numbers(ask: Ask, mail: State, one_day: None) -> None:
    seen = ask("stats", "--json").json
    low, queue = seen["queues"]
    assert (queue["queue"], queue["pending"], queue["size"], queue["error_rate"]) == ("mail", 3, 6, 0.25)
    assert (low["is_paused"], low["error_rate"]) == (True, None)
    [server] = seen["servers"]
    assert server["running"][0]["payload"] == {"base64": base64.b64encode(b"\xff").decode()}
    assert seen["broker"]["nodes"][0]["facts"]
    assert (seen["rates"], seen["broken"]) == ({}, {})


def test_a_queue_that_cannot_be_read_is_named(ask: Ask, mail: State) -> None:
    mail.client.set(mail.queue("odd").pending, "text")
    done = ask("queue", "list")
    assert (done.code, "The queue odd cannot be read" in done.err) == (0, True)
    assert "mail" in done.out
    with_odd = ask("queue", "inspect", "odd")
    assert (with_odd.code, "cannot be read" in with_odd.err) == (1, True)


def test_running_tasks_are_listed_with_their_workers_and_since_when(ask: Ask, mail: State) -> None:
    rota = ServerState(host="web1", pid=7, server_id="rota-1", concurrency=8, queues={"mail": 1}, active=1)
    go = replace(rota, host="go1", server_id="5d1c")
    began = int((mail.now - 3 * 3600 - 60) * 1e9)
    for server, task_id in ((rota, "a"), (go, "of-go")):
        running = RunningTask(id=task_id, type="a:b", payload=b"{}", queue="mail", started_ns=began)
        own, workers = (name(server.host, 7, server.server_id) for name in (KEYS.server, KEYS.worker))
        mail.client.set(own, server_record.pack_server(server), ex=60)
        mail.client.hset(workers, task_id, server_record.pack_running(server, running))
        mail.client.zadd(KEYS.servers, {own: mail.now + 60})
    mail.task(mail.queue("mail"), "of-go", "active")
    mail.task(mail.queue("mail"), "just begun", "active")

    heading, *rows = words(ask("worker", "list", "--running"))
    assert heading == ["worker", "for", "type", "id", "queue", "deadline"]
    assert sorted(rows) == [
        ["go1:7", "3h", "1m", "a:b", "of-go", "mail", "-"],
        ["web1:7", "3h", "1m", "a:b", "a", "mail", "-"],
    ]

    listed = ask("task", "list", "--queue", "mail", "--state", "active").out.splitlines()
    assert listed[0].split() == ["id", "type", "when", "worker", "tries", "error", "payload"]
    for worker, task_id, began_ago in (
        ("web1:7", "a ", "3h ago"),
        ("go1:7", "of-go", "3h ago"),
        (" - ", "just begun", " - "),
    ):
        [line] = [line for line in listed if line.startswith(task_id)]
        assert worker in line
        assert began_ago in line
    found = ask("task", "list", "--state", "active", "--json").json["running"]
    assert {(each["queue"], each["id"], each["server"], each["host"], each["pid"]) for each in found} == {
        ("mail", "a", "rota-1", "web1", 7),
        ("mail", "of-go", "5d1c", "go1", 7),
    }
    assert ask("task", "list", "--state", "pending", "--json").json["running"] == []


def test_queues_are_listed(ask: Ask, mail: State) -> None:
    assert [line[0] for line in words(ask("queue", "list"))] == ["queue", "low", "mail"]
    listed = ask("queue", "list", "--json").json
    assert [(queue["queue"], queue["size"]) for queue in listed] == [("low", 0), ("mail", 6)]


def test_a_queue_is_shown_in_full(ask: Ask, mail: State, one_day: None) -> None:
    done = ask("queue", "inspect", "mail", "low")
    assert done.code == 0
    for line in (
        "Size         6 tasks",
        "Oldest       1h 1m waiting",
        "All time     900 run, 9 failed, 0 crashed",
        "Groups       news (1)",
        "State        paused, 2h ago",
        "Worker       web1:7; 1 of 8 slots busy; started ",
    ):
        assert line in done.out
    [mail_json, _] = ask("queue", "inspect", "mail", "low", "--json").json
    assert [group["name"] for group in mail_json["groups"]] == ["news"]
    assert (mail_json["consumers"], mail_json["numbers"]["pending"]) == (["rota-1"], 3)
    assert (len(mail_json["days"]), mail_json["days"][0]["processed"]) == (7, 40)


def test_the_history_has_a_line_for_each_day(ask: Ask, mail: State, one_day: None) -> None:
    done = ask("queue", "history", "mail", "--days", "2")
    today = datetime.fromtimestamp(mail.now, UTC).date()
    assert words(done)[1] == [str(today), "40", "10", "25.00%", "0"]
    assert len(words(done)) == 3
    assert len(ask("queue", "history", "mail", "low", "--json").json["low"]) == 10
    assert "give 1 to 90" in ask("queue", "history", "mail", "-x", "91").err


@pytest.mark.parametrize("verb", ["inspect", "history"])
def test_a_queue_that_is_not_there_gets_a_suggestion(ask: Ask, mail: State, verb: str) -> None:
    done = ask("queue", verb, "mial")
    assert (done.code, "There is no queue 'mial'. Did you mean 'mail'?" in done.err) == (1, True), done.err


def test_groups_are_listed_with_their_sizes(ask: Ask, mail: State) -> None:
    keys = mail.queue("mail")
    taken = keys.group("old") + ":5f0c"
    mail.client.zadd(taken, {"x": 1, "y": 2})
    mail.client.zadd(keys.aggregation_sets, {taken: int(mail.now) + 100})
    done = ask("group", "list", "mail")
    assert words(done)[1][:2] == ["news", "1"]
    assert words(done)[2][:6] == ["old", "0", "2", "tasks,", "deadline", "in"]
    assert ask("group", "list", "-q", "mail", "--json").json[1]["aggregations"][0]["size"] == 2
    assert "has no groups" in ask("group", "list", "low").err
    assert ask("group", "list").code == 2
    assert ask("group", "list", "nowhere").code == 1


def test_entries_of_schedulers_and_their_history_are_shown(ask: Ask, mail: State) -> None:
    next_ns = int((mail.now + 3600) * 1e9)
    entries = [
        EntryRecord("ours", "every day", "t", b"{}", ('Queue("low")',), next_ns, None),
        EntryRecord("theirs", "@every 1h", "u", b"\xff", (), next_ns, int((mail.now - 30) * 1e9)),
    ]
    for number, (entry, name) in enumerate(zip(entries, ("rota-9", "5d1c"), strict=True)):
        key = entries_key(KEYS, "h", number, name)
        mail.client.rpush(key, pack_entry(entry))
        mail.client.zadd(list_key(KEYS), {key: mail.now + 60})
    listed = ask("cron", "list")
    assert [line[:2] for line in words(listed)] == [["entry", "kind"], ["theirs", "Go"], ["ours", "Rota"]]
    assert words(listed)[1][-2:] == ["1", "byte"]
    assert words(listed)[2][-2:] == ['Queue("low")', "{}"]
    assert [entry["is_go"] for entry in ask("cron", "list", "--json").json] == [True, False]

    assert ask("cron", "history", "ours").err.startswith("The entry ours has enqueued nothing")
    event = SchedulerEnqueueEvent(task_id="task-1", enqueue_time=to_timestamp(int(mail.now * 1e9)))
    mail.client.zadd(history_key(KEYS, "ours"), {event.SerializeToString(): mail.now})
    assert words(ask("cron", "history", "ours"))[1][0] == "task-1"
    assert ask("cron", "history", "ours", "theirs", "--json").json["ours"][0]["task_id"] == "task-1"
    assert "on page 3" in ask("cron", "history", "ours", "--page", "3").err


def test_no_entries_are_said_to_be_none(ask: Ask) -> None:
    assert "No running scheduler" in ask("cron", "list").err


def test_the_server_is_judged_in_words(ask: Ask, mail: State) -> None:
    done = ask("server")
    assert any(line[:1] == ["good"] for line in words(done))
    seen = ask("server", "--json").json
    judged = {fact["judgement"] for node in seen["nodes"] for fact in node["facts"]}
    assert done.code == int("bad" in judged)


def test_a_server_that_is_away_is_an_error_without_a_traceback(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_RETRY_FOR", "0s")
    for line in (["stats"], ["queue", "list"], ["server"]):
        done = command(*line, "--url", "redis://127.0.0.1:1/0")
        assert (done.code, "127.0.0.1:1" in done.err) == (1, True)


def test_watching_shows_how_fast_queues_are_worked_off(ask: Ask, mail: State, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        mail.client.incrby(mail.queue("mail").processed, 1000)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(stats_command, "time", SimpleNamespace(sleep=pause))
    done = ask("stats", "--watch", "--interval", "3s")
    assert (done.code, pauses) == (0, [3.0, 3.0])
    titles = [line for line in words(done) if line[:1] == ["queue"]]
    assert ["per" in line for line in titles] == [False, True]
    assert "must be at least 500ms" in ask("stats", "--watch", "--interval", "0s").err


def test_watching_goes_on_while_the_server_is_away(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setenv("ROTA_RETRY_FOR", "0s")
    monkeypatch.setattr(stats_command, "time", SimpleNamespace(sleep=pause))
    done = command("stats", "--watch", "--url", "redis://127.0.0.1:1/0")
    assert (done.code, done.err.count("The server does not answer")) == (0, 2)


def test_active_task_is_shown_with_the_worker_that_runs_it(ask: Ask, mail: State) -> None:
    shown = words(ask("task", "inspect", "a"))
    assert ["worker", "web1:7"] in shown
    running = ask("task", "inspect", "a", "--json").json["running"]
    assert (running["server"], running["host"], running["pid"]) == ("rota-1", "web1", 7)
    assert ask("task", "inspect", "p0", "--json").json["running"] is None


def test_task_that_was_archived_by_hand_is_listed_with_its_time(
    command: Run, ask: Ask, mail: State, redis_url: str
) -> None:
    assert command("task", "archive", "p0", "--url", redis_url).code == 0
    listed = ask("task", "list", "-q", "mail", "-s", "archived")
    assert words(listed)[1][2] != "-"
    archived = ask("task", "inspect", "p0", "--json").json
    assert (archived["last_failed_at"], archived["archived_at"] is None) == (None, False)
