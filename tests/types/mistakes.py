"""Mistakes that both checkers must refuse: each line that ends in `# wrong`, and no other. Never imported."""

from rota import Context, Retry, Rota, ScheduleDefinition, Tasks, Unique, When

app = Rota("redis://localhost")


@app.task("email:welcome")
async def welcome(user_id: int, locale: str = "en") -> str:
    return f"{user_id} {locale}"


@app.task("report:build")
def build(ctx: Context, number: int) -> int:
    return number


tasks = Tasks()


@tasks.task("charge")
async def charge(cents: int) -> str:
    return f"{cents}"


async def mistakes(ctx: Context) -> None:
    await welcome.enqueue("seven")  # wrong
    await welcome.enqueue()  # wrong
    await welcome.enqueue(7, lang="en")  # wrong
    await welcome.enqueue(7, "en", 3)  # wrong
    welcome.plan(None)  # wrong
    welcome.enqueue_sync(7, 8)  # wrong
    await welcome.options(delay="5m").enqueue("seven")  # wrong
    welcome.options(dealy="5m")  # wrong
    welcome.options(delay=[5])  # wrong
    build.plan(ctx, 7)  # wrong
    build("seven")  # wrong
    welcome.enqueue(7)  # wrong
    number: int = await (await welcome.enqueue(7)).result()  # wrong
    await app.enqueue("report:build", {"id": 7}, quee="a")  # wrong
    app.task("test:a", quee="a")  # wrong
    app.task("test:b", run="proces")  # wrong
    app.task("test:c", retry="3")  # wrong
    await welcome.call("seven")  # wrong
    await app.call(welcome.plan("seven"), timeout="10s")  # wrong
    await welcome.call(7, timeout=[10])  # wrong
    number = await welcome.call(7, timeout="10s")  # wrong
    app.job("id")  # wrong
    job = await welcome.enqueue(7)
    job.cancel()  # wrong
    await job.cancel(7)  # wrong
    await job.reschedule()  # wrong
    await welcome.job_sync("id").cancel()  # wrong
    await app.client.cancel("default")  # wrong
    app.sync_client.cancel("default", 7)  # wrong
    Retry(backoff="exponentil")  # wrong
    Unique("1m", scope="queue")  # wrong
    await charge.enqueue("seven")  # wrong
    welcome.schedule("@daily", "seven")  # wrong
    welcome.schedule("@daily")  # wrong
    welcome.schedule(5, 7)  # wrong
    When("@daily", missed="al")  # wrong
    app.cron("@daily", misse="all")  # wrong
    app.cron(5)  # wrong
    app.cron("@daily", timeout=30)  # wrong
    app.every("5m", tz="UTC")  # wrong
    app.schedule("a:b", cron="@daily", quee="a")  # wrong
    ScheduleDefinition(name="a", specs="@daily")  # wrong
    ScheduleDefinition(name="a", task_type="b", overlap="alow")  # wrong
    app.schedule_provider(build)  # wrong
    tasks.task("test:d", quee="a")  # wrong
    app.include(tasks, quee="a")  # wrong
    app.include(tasks, unique="5m")  # wrong
    app.include(charge)  # wrong
    assert number
