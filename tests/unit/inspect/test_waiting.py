import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.inspect.server_snapshot import RunningSnapshot, ServerSnapshot
from rota.inspect.task_type import TypeList, TypeSnapshot, TypeVersion
from rota.inspect.waiting import FACTS, Cause, Circumstances, Fact, Reason, cause, judge
from rota.inspect.waiting_words import TEMPLATES, words
from rota.tasks.type_record import TypeDefaults
from rota.wire.look_task import StoredTask
from rota.wire.pause import Stop
from rota.wire.proto import TaskMessage
from rota.wire.wait import MOST_LOOKED_AT, WaitLook

NOW = 1_700_000_000.0
AT = datetime.fromtimestamp(NOW, UTC)


def look(state: str = "pending", fields: dict[str, bytes] | None = None, **words: Any) -> WaitLook:
    message = TaskMessage(type="mail", id="a", queue="q", retry=5, retried=2, error_msg=words.pop("error", ""))
    task = StoredTask("q", "a", state, NOW, None, {"msg": message.SerializeToString(), **(fields or {})})
    known: dict[str, Any] = {
        "ahead": None,
        "pending": 0,
        "is_listed_active": False,
        "scheduled_at": None,
        "retry_at": None,
        "lease_until": None,
        "processed": 0,
    }
    return WaitLook(task=task, **(known | words))


def server(
    id: str = "rota-1", *, status: str = "active", active: int = 0, running: tuple[str, ...] = ()
) -> ServerSnapshot:
    return ServerSnapshot(
        id=id,
        host="web",
        pid=7,
        concurrency=2,
        queues={"q": 1},
        strict_priority=False,
        status=status,
        started_at=None,
        active=active,
        running=tuple(
            RunningSnapshot(
                id="a" if type == "this" else "x", type=type, payload=b"", queue="q", started_at=AT, deadline=None
            )
            for type in running
        ),
    )


def types(name: str = "mail", concurrency: int | None = None, unpublished: tuple[str, ...] = ()) -> TypeList:
    version = TypeVersion(type=name, defaults=TypeDefaults(concurrency=concurrency), servers=("rota-1",))
    return TypeList((TypeSnapshot(name, ("q",), (version,)),), unpublished)


def reasons(look: WaitLook, **words: Any) -> list[Reason]:
    around = Circumstances(**({"servers": [server()], "types": types()} | words))
    return [cause.reason for cause in judge(look, around).causes]


def facts(look: WaitLook, reason: Reason, **words: Any) -> dict[str, Fact]:
    around = Circumstances(**({"servers": [server()], "types": types()} | words))
    return next(dict(cause.facts) for cause in judge(look, around).causes if cause.reason is reason)


FIRST = look(ahead=0, pending=1)


@pytest.mark.parametrize(
    ("seen", "around", "expected"),
    [
        (FIRST, {}, [Reason.NEXT]),
        (FIRST, {"pause": Stop()}, [Reason.QUEUE_PAUSED, Reason.NEXT]),
        (FIRST, {"servers": []}, [Reason.NO_SERVER, Reason.NEXT]),
        (FIRST, {"servers": [server(status="stopped")]}, [Reason.SERVERS_QUIET, Reason.NEXT]),
        (FIRST, {"types": types("sms")}, [Reason.TYPE_UNKNOWN, Reason.NEXT]),
        (FIRST, {"types": types("sms", unpublished=("rota-1",))}, [Reason.TYPE_UNSURE, Reason.NEXT]),
        (FIRST, {"servers": [server("go")], "types": TypeList((), ("go",))}, [Reason.TYPE_UNSURE, Reason.NEXT]),
        (FIRST, {"servers": [server(active=2)]}, [Reason.SLOTS_BUSY, Reason.NEXT]),
        (
            FIRST,
            {"servers": [server(running=("mail",))], "types": types(concurrency=1)},
            [Reason.TYPE_BUSY, Reason.NEXT],
        ),
        (FIRST, {"servers": [server(running=("sms",))], "types": types(concurrency=1)}, [Reason.NEXT]),
        (FIRST, {"servers": [server(running=("mail",))]}, [Reason.NEXT]),
        (look(ahead=3, pending=9), {}, [Reason.BEHIND]),
        (look(ahead=None, pending=9), {}, [Reason.NOT_LISTED]),
        (look(ahead=None, pending=MOST_LOOKED_AT + 1), {}, [Reason.BEHIND]),
        (look("scheduled", scheduled_at=NOW + 60), {}, [Reason.NOT_DUE]),
        (look("scheduled", scheduled_at=NOW + 60), {"servers": []}, [Reason.NO_SERVER, Reason.NOT_DUE]),
        (look("scheduled", scheduled_at=NOW - 60), {}, [Reason.NOT_PROMOTED]),
        (look("scheduled"), {}, [Reason.NOT_LISTED]),
        (look("retry", retry_at=NOW + 60), {}, [Reason.RETRY_LATER]),
        (look("aggregating", {"group": b"g"}, joined_at=NOW), {}, [Reason.IN_GROUP]),
        (look("aggregating", {"group": b"g"}), {}, [Reason.IN_AGGREGATION]),
        (look("active", lease_until=NOW + 9), {"servers": []}, [Reason.RUNNING]),
        (look("active", lease_until=NOW - 9), {}, [Reason.LEASE_EXPIRED]),
        (look("active"), {}, [Reason.LEASE_EXPIRED]),
        (look("completed"), {"servers": []}, [Reason.COMPLETED]),
        (look("archived"), {"servers": []}, [Reason.ARCHIVED]),
        (look(ahead=0, pending=1, holder="b", holder_state="active"), {}, [Reason.LOCK_HELD, Reason.NEXT]),
        (look(ahead=0, pending=1, holder="a", holder_state="pending"), {}, [Reason.NEXT]),
    ],
)
def test_causes_are_found_the_worst_first(seen: WaitLook, around: dict[str, Any], expected: list[Reason]):
    assert reasons(seen, **around) == expected


def test_task_without_its_message_is_missing_and_has_no_type_to_look_for():
    seen = look(ahead=0, pending=1)
    bare = WaitLook(
        task=StoredTask("q", "a", "pending", NOW),
        ahead=0,
        pending=1,
        is_listed_active=False,
        scheduled_at=None,
        retry_at=None,
        lease_until=None,
        processed=0,
    )
    assert reasons(bare) == [Reason.MISSING, Reason.NEXT]
    assert reasons(seen) == [Reason.NEXT]


def test_next_task_that_is_not_taken_although_slots_are_free_is_a_fault():
    waits = look(fields={"pending_since": b"%d" % ((NOW - 60) * 1e9)}, ahead=0, pending=1)
    assert reasons(waits) == [Reason.NOT_TAKEN]
    assert facts(waits, Reason.NOT_TAKEN)["waited"] == timedelta(seconds=60)
    assert reasons(waits, servers=[server(active=2)]) == [Reason.SLOTS_BUSY, Reason.NEXT]


def test_forecast_comes_from_the_rate_of_the_queue():
    behind = look(ahead=50, pending=99)
    assert facts(behind, Reason.BEHIND, per_second=5.0)["forecast"] == timedelta(seconds=10)
    assert facts(behind, Reason.BEHIND)["forecast"] is None
    assert facts(behind, Reason.BEHIND, per_second=5.0, pause=Stop())["forecast"] is None
    far = facts(look(ahead=None, pending=10**6), Reason.BEHIND)
    assert (far["ahead"], far["at_least"]) == (MOST_LOOKED_AT, 1)


def test_running_task_names_its_server():
    seen = look("active", lease_until=NOW + 9)
    assert facts(seen, Reason.RUNNING, servers=[server(running=("this",))]) == {"server": "web:7", "since": AT}
    assert facts(seen, Reason.RUNNING) == {"server": None, "since": None}


def test_retry_says_how_often_and_why():
    seen = look("retry", retry_at=NOW + 60, error="boom")
    assert facts(seen, Reason.RETRY_LATER) == {
        "at": AT + timedelta(seconds=60),
        "after": timedelta(seconds=60),
        "retried": 2,
        "max_retry": 5,
        "error": "boom",
    }


def test_cause_with_other_facts_than_those_of_its_reason_is_refused():
    with pytest.raises(ValueError, match="next"):
        cause(Reason.NEXT, other="x")


def test_each_reason_has_facts_and_words_in_each_language():
    assert set(FACTS) == set(TEMPLATES) == set(Reason)
    for reason, template in TEMPLATES.items():
        for text in template:
            assert set(re.findall(r"\{(\w+)", text)) <= set(FACTS[reason]), reason
        assert set(re.findall(r"\{(\w+)", template.en)) == set(re.findall(r"\{(\w+)", template.zh)), reason
        assert re.search("[\u4e00-\u9fff]", template.zh), reason


@pytest.mark.parametrize(
    ("said", "en", "zh"),
    [
        (
            cause(Reason.QUEUE_PAUSED, queue="q", since=AT, by="ann", why=None),
            "The queue q was paused at 2023-11-14 22:13:20 UTC by ann. Resume it: rota queue resume q",
            "队列 q 已暂停，自 2023-11-14 22:13:20 UTC 起，操作人 ann。恢复：rota queue resume q",
        ),
        (
            cause(Reason.QUEUE_PAUSED, queue="q", since=None, by=None, why=None),
            "The queue q was paused. Resume it: rota queue resume q",
            "队列 q 已暂停。恢复：rota queue resume q",
        ),
        (
            cause(Reason.BEHIND, queue="q", ahead=1, at_least=0, per_second=None, forecast=None),
            "The task is behind 1 other task of the queue q.",
            "该任务排在队列 q 的 1 个任务之后。",
        ),
        (
            cause(Reason.BEHIND, queue="q", ahead=9, at_least=1, per_second=2.0, forecast=timedelta(seconds=3700)),
            "The task is behind at least 9 other tasks of the queue q; 2 end in a second, so it is due in about 1h 1m.",
            "该任务排在队列 q 的 至少 9 个任务之后；每秒完成 2 个，预计约 1 小时 1 分钟后轮到。",
        ),
        (
            cause(Reason.NO_SERVER, queue="q", servers=0),
            "No worker serves the queue q (0 live servers in all). Start one with --queues q, or move the task to "
            "another queue.",
            "没有 worker 服务于队列 q（共有 0 个在线服务器）。请用 --queues q 启动一个，或把任务移到其他队列。",
        ),
    ],
)
def test_cause_is_put_into_words(said: Cause, en: str, zh: str):
    assert words(said) == en
    assert words(said, "zh") == zh
