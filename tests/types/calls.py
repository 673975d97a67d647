"""Calls that a user writes, with the types that both checkers must see. Never imported: only checked."""

from collections.abc import AsyncGenerator, Coroutine
from typing import Annotated, Any, assert_type

from rota import (
    INJECTED,
    Context,
    Depends,
    GroupedTask,
    Job,
    Plan,
    Retry,
    Rota,
    RotaError,
    ScheduleDefinition,
    SyncJob,
    Task,
    TaskInfo,
    Tasks,
    Unique,
    When,
    current,
)
from rota.tasks.task import AsyncTask, SyncTask


class Mailer: ...


def mailer() -> Mailer:
    return Mailer()


app = Rota("redis://localhost")


@app.task("email:welcome", queue="critical", timeout="30s", retry=Retry(max=5, never=[ValueError]))
async def welcome(user_id: int, locale: str = "en") -> str:
    return f"{user_id} {locale}"


@app.task("image:resize", run="process", retention="1h", unique=Unique("10m"))
def resize(path: str, *, width: int) -> list[int]:
    return [len(path), width]


@app.task("report:build")
async def build(ctx: Context, number: int) -> None:
    ctx.progress(1, 2, f"{number}")


@app.task("mail:send", retry=3)
def send(ctx: Context, to: str, *, mail: Annotated[Mailer, Depends(mailer)] = INJECTED) -> bytes:
    return to.encode()


@app.handler("email:")
async def any_mail(ctx: Context, payload: bytes) -> None:
    assert_type(current(), Context)


@app.aggregator("email:add", grace="10s")
def digest(group: str, tasks: list[GroupedTask]) -> Plan[str]:
    return welcome.plan(len(tasks))


@app.middleware
async def around(ctx: Context) -> AsyncGenerator[None]:
    yield


tasks = Tasks(middleware=[around])


@tasks.task("charge", queue="billing")
async def charge(ctx: Context, cents: int) -> str:
    return f"{ctx.id} {cents}"


@tasks.task("refund", run="process")
def refund(cents: int) -> int:
    return cents


@tasks.handler("event:")
def events(ctx: Context, payload: bytes) -> bytes:
    return payload


@tasks.on_failure
def failed(ctx: Context, error: Exception) -> None: ...


outer = Tasks()
outer.include(tasks, prefix="card:")
app.include(outer, prefix="billing:", queue="billing", timeout="30s", retry=3, retention="1h", headers={"a": "b"})


@app.cron("30 2 * * *", tz="Europe/Berlin", missed="all", missed_limit=5, timeout="1h", tags=["db"])
async def nothing() -> int:
    return 0


@app.every("10m", name="warm up", overlap="queue_one")
@app.task("cache:warm")
def warm(ctx: Context) -> str:
    return ctx.id


@tasks.cron("@daily", "0 12 * * sun", type="sweep")
def sweep() -> None: ...


@app.schedule_provider
async def provided() -> list[ScheduleDefinition]:
    return [ScheduleDefinition(name="a", task_type="b", specs=["@daily"], overlap="allow")]


@app.schedule_provider(interval="10s")
async def mappings() -> list[dict[str, Any]]:
    return [{"name": "a", "task_type": "b", "specs": ["@daily"]}]


assert_type(nothing, AsyncTask[[], int])
assert_type(warm, SyncTask[[], str])
assert_type(sweep, SyncTask[[], None])
welcome.schedule("0 9 * * *", 7)
welcome.schedule(["0 9 * * *", "0 18 * * *"], 7, locale="de")
welcome.options(queue="low").schedule(When("0 9 * * *", tz="Asia/Shanghai", overlap="replace"), user_id=7)
app.schedule("email:digest", {"list": "all"}, cron="0 8 * * *", then={"schedule": "a"})
tasks.schedule("email:digest", every="10m")


async def asynchronous() -> None:
    assert_type(await charge.enqueue(7), Job[str])
    assert_type(await charge.options(delay="5m").enqueue(cents=7), Job[str])
    assert_type(refund.plan(7), Plan[int])
    assert_type(refund(7), int)
    assert_type(events(current(), b""), bytes)
    assert_type(await welcome.enqueue(7), Job[str])
    assert_type(await (await welcome.enqueue(7, "de")).result("10s"), str)
    assert_type(await (await welcome.enqueue(7)).info(), TaskInfo)
    assert_type(await welcome.options(delay="5m", unique="10m").enqueue(7, locale="de"), Job[str])
    assert_type(await welcome.debounce("user-{user_id}", "2s").enqueue(7), Job[str])
    assert_type(await resize.enqueue("a.png", width=3), Job[list[int]])
    assert_type(await build.enqueue(7), Job[None])
    assert_type(await build.enqueue(number=7), Job[None])
    assert_type(await send.enqueue("you"), Job[bytes])
    assert_type(await app.enqueue("report:build", {"id": 7}, delay=5), Job[Any])
    assert_type(await app.enqueue_many(welcome.plan(n) for n in range(9)), list[Job[Any] | RotaError])
    assert_type(await welcome(7), str)
    assert_type(await welcome.call(7, timeout="10s"), str)
    assert_type(await resize.options(delay=5).call("a.png", width=3), list[int])
    assert_type(await app.call(resize.plan("a.png", width=3), timeout=10), list[int])
    assert_type(welcome.job("id"), Job[str])
    assert_type(await resize.job("id", queue="low").result(), list[int])
    assert_type(app.job("id", queue="low"), Job[Any])
    job = await welcome.enqueue(7)
    assert_type(await job.cancel("reason"), None)
    assert_type(await job.reschedule("5m"), None)
    assert_type(await app.client.info("default", "id"), TaskInfo)
    assert_type(await app.client.reschedule("default", task_id="id", when="5m"), None)
    async with app.worker(concurrency=5) as worker:
        worker.stop()


def blocking() -> None:
    assert_type(welcome.enqueue_sync(7), SyncJob[str])
    assert_type(resize.enqueue_sync("a.png", width=3).result(), list[int])
    assert_type(welcome.call_sync(7, timeout="10s"), str)
    assert_type(app.call_sync(welcome.plan(7)), str)
    assert_type(welcome.job_sync("id"), SyncJob[str])
    assert_type(welcome.job_sync("id").info(), TaskInfo)
    assert_type(app.job_sync("id", queue="low").cancel(), None)
    assert_type(app.sync_client.info("default", "id"), TaskInfo)
    assert_type(welcome.plan(7), Plan[str])
    coroutine: Coroutine[Any, Any, str] = welcome(7)
    coroutine.close()
    assert_type(resize("a.png", width=3), list[int])
    assert_type(send("you", mail=Mailer()), bytes)


def takes_any_task(task: Task[[int, str], str]) -> None:
    task.plan(7, "en")
