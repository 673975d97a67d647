"""Unique tasks, joined calls, and many tasks in few requests."""

import asyncio

from rota import Job
from tasks import app, build_report, index


async def main() -> None:
    async with app:
        later = index.options(delay="10s")
        first = await later.enqueue("readme")
        second = await later.enqueue("readme")
        print("unique:", first.created, second.created, first.id == second.id)

        keystrokes = index.options(unique=None).debounce("draft-{document}", "10s", "1m")
        first = await keystrokes.enqueue("letter")
        last = await keystrokes.enqueue("letter")
        print("joined:", first.id == last.id)

        outcomes = await app.enqueue_many(build_report.plan(account) for account in range(100))
        print("many:", sum(isinstance(outcome, Job) for outcome in outcomes))


asyncio.run(main())
