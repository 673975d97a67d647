"""Schedules declared in code: what the decorators make, what includes give to them, and what is refused at import."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from rota import (
    ConfigError,
    Context,
    OptionError,
    Rota,
    RoutingError,
    ScheduleDefinition,
    ScheduleInvalid,
    Tasks,
    Unique,
    When,
)

HERE = "test_scheduling.py:"


def listed(app: Rota) -> dict[str, dict[str, Any]]:
    """The schedules of an app in their short form, by name, without the name and the default zone."""
    found = {each.definition.name: each.definition.to_mapping() for each in app.schedules}
    for name, written in found.items():
        assert written.pop("name") == name
        if written["timezone"] == "UTC":
            del written["timezone"]
    return found


async def welcome(user_id: int, locale: str = "en") -> None: ...


def backup() -> None: ...


# What is declared


def test_cron_makes_a_task_of_a_function_and_schedules_it() -> None:
    app = Rota()

    task = app.cron("30 2 * * *", tz="Europe/Berlin", missed="all", missed_limit=3)(backup)

    assert task.type == "backup"
    assert app.find_handler("backup") is task.handler
    assert listed(app) == {
        "backup": {
            "task_type": "backup",
            "specs": ["30 2 * * *"],
            "timezone": "Europe/Berlin",
            "missed": "all",
            "missed_limit": 3,
        }
    }


def test_cron_schedules_a_task_that_has_a_type_already() -> None:
    app = Rota()

    @app.cron("@daily", "0 12 * * sun", name="nightly")
    @app.task("db:backup", queue="low")
    def run(ctx: Context, full: bool = True) -> None: ...

    assert listed(app) == {
        "nightly": {"task_type": "db:backup", "payload": {"full": True}, "specs": ["@daily", "0 12 * * sun"]}
    }
    assert run.type == "db:backup"


def test_every_makes_an_interval() -> None:
    app = Rota()

    app.every("90m", type="cache:warm", overlap="queue_one")(backup)

    assert listed(app) == {"cache:warm": {"task_type": "cache:warm", "specs": ["@every 1h30m"], "overlap": "queue_one"}}


def test_task_is_scheduled_with_arguments_like_those_of_its_function() -> None:
    app = Rota()
    task = app.task("email:welcome")(welcome)

    task.schedule("0 9 * * *", 7)
    task.schedule(When("0 9 * * mon", tz="Asia/Shanghai", name="weekly", jitter="5m"), user_id=8, locale="zh")

    assert listed(app) == {
        "email:welcome": {
            "task_type": "email:welcome",
            "payload": {"user_id": 7, "locale": "en"},
            "specs": ["0 9 * * *"],
        },
        "weekly": {
            "task_type": "email:welcome",
            "payload": {"user_id": 8, "locale": "zh"},
            "specs": ["0 9 * * mon"],
            "timezone": "Asia/Shanghai",
            "jitter": "5m",
        },
    }


@pytest.mark.parametrize("late", [False, True])
def test_options_of_a_task_apply_to_its_scheduled_runs(late: bool) -> None:
    app, tasks = Rota(), Tasks()
    task = tasks.task("welcome", queue="mail", retention="1h")(welcome)
    if not late:
        app.include(tasks)
    task.options(queue="low", timeout="90s", max_retry=2, unique="10m", headers={"a": "b"}).schedule("@daily", 7)
    if late:
        app.include(tasks)

    [written] = listed(app).values()

    assert {
        name: written.get(name) for name in ("queue", "timeout", "max_retry", "unique", "headers", "retention")
    } == {
        "queue": "low",
        "timeout": "1m30s",
        "max_retry": 2,
        "unique": "10m",
        "headers": {"a": "b"},
        "retention": None,  # that of the task applies
    }


def test_type_of_another_program_is_scheduled_by_its_name() -> None:
    app = Rota()

    app.schedule("email:digest", {"day": "{{planned_at}}"}, cron=["0 8 * * *", "0 18 * * *"], tags=["mail"])

    assert listed(app) == {
        "email:digest": {
            "task_type": "email:digest",
            "payload": {"day": "{{planned_at}}"},
            "specs": ["0 8 * * *", "0 18 * * *"],
            "tags": ["mail"],
        }
    }


def test_payload_of_a_registered_type_may_hold_variables() -> None:
    app = Rota()

    @app.task("report:build")
    def build(day: str, number: int = 1) -> None: ...

    app.schedule("report:build", {"day": "{{planned_at}}"}, every="1h")

    assert listed(app)["report:build"]["payload"] == {"day": "{{planned_at}}"}


def test_zone_of_the_settings_is_that_of_a_schedule_without_one() -> None:
    app = Rota(settings={"timezone": "Asia/Shanghai"})
    app.cron("@daily")(backup)

    assert app.schedules[0].definition.timezone == "Asia/Shanghai"


def test_zone_that_does_not_exist_is_refused_in_the_settings() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'Europe/Berlin'"):
        Rota(settings={"timezone": "Europe/Berln"})


def test_listed_schedule_has_an_id_that_is_the_same_in_every_process_and_its_line() -> None:
    app = Rota()
    app.cron("@daily", type="db:backup")(backup)

    [stored] = app.schedules

    assert stored.id == "2f50e4ed-ced8-5733-af28-b3dca8e9699f"
    assert (stored.source, stored.version) == ("code", 1)
    assert HERE in stored.created_by


# Routers


def test_include_carries_its_prefix_and_options() -> None:
    app, inner, outer = Rota(), Tasks(), Tasks()
    inner.cron("@daily", type="sweep")(backup)
    inner.schedule("digest", cron="@weekly")
    outer.include(inner, prefix="mail:", timeout="30s", headers={"a": "1", "b": "2"})
    app.include(outer, prefix="shop:", queue="low", retry=3, retention="1m", headers={"a": "0"})

    assert listed(app) == {
        "shop:mail:sweep": {"task_type": "shop:mail:sweep", "specs": ["@daily"]},  # its task has the options
        "shop:mail:digest": {
            "task_type": "shop:mail:digest",
            "specs": ["@weekly"],
            "queue": "low",
            "max_retry": 3,
            "timeout": "30s",
            "retention": "10m",
            "headers": {"a": "1", "b": "2"},
        },
    }


def test_schedule_that_is_declared_after_the_include_is_listed_too() -> None:
    app, tasks = Rota(), Tasks()
    app.include(tasks, prefix="email:")
    tasks.task("welcome")(welcome).schedule("@daily", 7)

    assert list(listed(app)) == ["email:welcome"]


def test_router_with_a_taken_name_is_refused_and_leaves_the_app_as_it_was() -> None:
    app, tasks = Rota(), Tasks()
    app.cron("@daily", name="nightly")(backup)
    tasks.cron("@daily", name="nightly", type="other")(backup)

    with pytest.raises(OptionError, match=f"a second schedule 'nightly'; the first one is in .*{HERE}"):
        app.include(tasks)

    assert list(listed(app)) == ["nightly"]
    assert app.find_handler("other") is None


# Refusals


Refused = Callable[[Rota], Any]


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda app: app.cron("61 * * * *")(backup), r"app.cron\('61 \* \* \* \*'\).*minute 61"),
        (lambda app: app.cron(backup), "app.cron is given backup, which is not a spec: write @app.cron"),
        (lambda app: app.cron()(backup), r"app.cron\(\).*specs is missing"),
        (lambda app: app.cron("0 0 30 2 *")(backup), "never"),
        (lambda app: app.cron("@daily", tz="Berlin")(backup), "Did you mean 'Europe/Berlin'"),
        (lambda app: app.cron("@daily", misse="all")(backup), "has no option 'misse'. Did you mean 'missed'"),
        (lambda app: app.cron("@daily", missed="al")(backup), "Did you mean 'all'"),
        (lambda app: app.cron("@daily", missed_limit=3)(backup), "missed_limit has no effect"),
        (lambda app: app.cron("@daily", timeout=30)(backup), "write '30s'"),
        (lambda app: app.cron("@daily")(welcome), "lacks 'user_id'"),
        (lambda app: app.cron("@daily", type="x")(app.task("a:b")(backup)), "has its type already"),
        (lambda app: app.cron("@daily")(app.task("a:b")(backup).options(delay="5m")), "delay"),
        (lambda app: app.every("10"), "a string needs a unit"),
        (lambda app: app.every("10ms"), "a schedule fires once a second at most"),
        (lambda app: app.task("a:b")(welcome).schedule("@daily", "seven"), r"welcome.schedule\('@daily'\).*user_id"),
        (lambda app: app.task("a:b")(welcome).options(unique=Unique(scope="running")).schedule("@daily", 7), "Unique"),
        (lambda app: app.task("a:b")(welcome).schedule("dayly", 7), "welcome.schedule"),
        (lambda app: app.schedule("a:b"), "give either cron="),
        (lambda app: app.schedule("a:b", cron="@daily", every="5m"), "give either cron="),
        (lambda app: app.schedule("a:b", {"x": "{{plannedat}}"}, every="5m"), "Did you mean 'planned_at'"),
        (lambda app: app.schedule_provider(list), "not async"),
        (lambda app: app.schedule_provider(interval="0s")(provide), "must be at least 1s"),
        (lambda app: When("@daily", misse="all"), "When has no option 'misse'"),  # type: ignore[call-arg]
    ],
)
def test_wrong_declaration_is_refused_in_its_line(declare: Refused, words: str) -> None:
    app = Rota()

    with pytest.raises((OptionError, ScheduleInvalid), match=words) as caught:
        declare(app)

    assert HERE in str(caught.value)
    assert app.schedules == ()


def test_error_of_a_schedule_keeps_its_problems() -> None:
    with pytest.raises(ScheduleInvalid) as caught:
        Rota().schedule("a:b", cron="@daily", max_runs=0)

    assert [path for path, _ in caught.value.problems] == ["max_runs"]


def test_payload_that_does_not_fit_a_registered_type_is_refused() -> None:
    app = Rota()
    app.task("email:welcome")(welcome)

    with pytest.raises(OptionError, match="user_id"):
        app.schedule("email:welcome", {"user_id": "x"}, cron="@daily")


def test_deep_payload_of_a_registered_type_is_refused() -> None:
    app, payload = Rota(), dict[str, Any]()
    app.task("email:welcome")(welcome)
    for _ in range(5000):
        payload = {"user_id": payload}

    with pytest.raises(ScheduleInvalid, match="more than 100 levels deep"):
        app.schedule("email:welcome", payload, every="10m")


def test_blank_type_is_refused() -> None:
    with pytest.raises(RoutingError, match="blank"):
        Rota().schedule(" ", cron="@daily")


@pytest.mark.parametrize("again", [lambda task: task.schedule("@hourly", 8), lambda task: task.schedule("@daily", 7)])
def test_second_schedule_of_a_task_needs_a_name_of_its_own(again: Callable[[Any], None]) -> None:
    app = Rota()
    task = app.task("email:welcome")(welcome)
    task.schedule("@daily", 7)

    with pytest.raises(OptionError, match=f"a second schedule 'email:welcome'; the first one is in .*{HERE}"):
        again(task)
    with pytest.raises(OptionError, match="a second schedule 'email:welcome'"):
        app.schedule("email:welcome", {"user_id": 9}, cron="@daily")

    assert len(app.schedules) == 1


def test_schedules_that_start_each_other_without_end_are_refused() -> None:
    app = Rota()
    app.schedule("a:b", cron="@daily", name="one", then={"schedule": "two"})
    app.schedule("a:b", cron="@daily", name="two", then={"schedule": "one", "on": "always"})

    with pytest.raises(ScheduleInvalid, match=rf"circle without end: one → two → one.*{HERE}"):
        _ = app.schedules


# Providers


async def provide() -> list[ScheduleDefinition | Mapping[str, Any]]:
    return [
        ScheduleDefinition(name="a", task_type="a:b", specs="@daily"),
        {"name": "b", "task_type": "a:b", "specs": ["@daily"]},
    ]


async def test_provider_is_kept_with_its_interval() -> None:
    app = Rota()

    assert app.schedule_provider(provide) is provide
    assert app.schedule_provider(interval="10s")(provide) is provide

    assert [each.interval.total_seconds() for each in app.schedule_providers] == [180, 10]
    assert {each.name for each in app.schedule_providers} == {"provide"}
    assert all(HERE in each.source_line for each in app.schedule_providers)
    call: Callable[[], Awaitable[Any]] = app.schedule_providers[0].function
    assert len(await call()) == 2
