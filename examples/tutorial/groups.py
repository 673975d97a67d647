"""An aggregator makes one task of many."""

from rota import GroupedTask, Plan, Rota

app = Rota()


@app.task("comment:added")
async def comment(author: str, text: str) -> None:
    """A comment without a group runs alone."""


@app.task("comment:summary")
async def summary(page: str, authors: list[str]) -> None:
    print(f"mail: {', '.join(authors)} commented on {page}", flush=True)


@app.aggregator("comment:added", group="page-*", grace="5s", max_delay="1m", max_size=100)
def summarize(group: str, tasks: list[GroupedTask]) -> Plan[None]:
    return summary.plan(group, [task.json()["author"] for task in tasks])
