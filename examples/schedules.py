"""Schedules declared in code: each of them is a task that runs at planned times.

`python -m examples.schedules` prints them with their next time. `rota worker examples.schedules:app` runs them.
"""

from datetime import UTC, datetime

from rota import Rota, Tasks, When
from rota.schedule.timetable import Timetable

app = Rota(settings={"timezone": "Europe/Berlin"})
reports = Tasks()


@app.cron("30 2 * * *", missed="once", timeout="1h")
async def backup() -> None:
    """Runs every night. After a night without a scheduler it runs once when one is back."""


@app.every("10m", overlap="skip")
@app.task("cache:warm", queue="low")
async def warm() -> None:
    """Runs every ten minutes, but not beside a run that is not over."""


@reports.task("build")
async def build(kind: str, day: str) -> None:
    print(f"The {kind} report of {day}")


build.schedule("0 6 * * *", "sales", day="{{planned_at}}")
build.schedule(
    When("0 9 * * mon", "0 9 1 * *", name="stock", tz="Asia/Shanghai", missed="all", missed_limit=3),
    "stock",
    day="{{planned_at}}",
)
app.include(reports, prefix="report:", queue="reports")

# A type whose handler is in another program, for example in Go.
app.schedule("email:digest", {"list": "all"}, cron="0 8 * * mon-fri")


@app.schedule_provider(interval="1m")
async def of_customers() -> list[dict[str, object]]:
    """Returns schedules that come from elsewhere, such as a table of customers."""
    return [
        {"name": f"invoice {customer}", "task_type": "invoice:send", "payload": {"customer": customer}, "specs": spec}
        for customer, spec in (("ada", "0 7 1 * *"), ("bob", "0 7 15 * *"))
    ]


def main() -> None:
    now = datetime.now(UTC)
    for schedule in app.schedules:
        found = Timetable(schedule.id, schedule.definition, since=now).next(now)
        print(f"{schedule.definition.name:15} {found}")


if __name__ == "__main__":
    main()
