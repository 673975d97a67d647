"""Many small tasks become one: what happens within a moment is sent as one summary. `python -m examples.groups`."""

import asyncio

from rota import GroupedTask, Plan, Rota

app = Rota()
sent: asyncio.Queue[str] = asyncio.Queue()


@app.task("comment:added")
async def comment(author: str, text: str) -> None:
    """A comment outside of any group runs alone."""


@app.task("comment:summary")
async def summary(page: str, authors: list[str]) -> None:
    await sent.put(f"{page}: {', '.join(authors)}")


@app.aggregator("comment:added", group="page-*", grace="1s", max_delay="10s", max_size=100)
def summarize(group: str, tasks: list[GroupedTask]) -> Plan[None]:
    return summary.plan(group, [task.json()["author"] for task in tasks])


async def main() -> str:
    async with app.worker():
        for author in ("Ann", "Bo", "Cy"):
            await comment.options(group="page-7").enqueue(author, "Nice!")
        return await sent.get()


if __name__ == "__main__":
    print(asyncio.run(main()))
