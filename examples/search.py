"""Find tasks from a program, and see why one of them waits. `python -m examples.search`."""

import asyncio

from rota import Rota

app = Rota()


@app.task("mail:send")
async def send(user_id: int) -> None: ...


async def main() -> list[str]:
    await app.enqueue_many([send.plan(user_id) for user_id in range(100)])
    lines: list[str] = []
    async for page in app.inspector().search("type:mail:* payload.user_id:42"):
        for hit in page.hits:
            waiting = await app.inspector().why(*hit.ref)
            lines.append(f"{hit.type} in {hit.ref.queue} is {hit.state}: {', '.join(c.reason for c in waiting.causes)}")
        lines.append(f"looked at {page.scanned} of {page.total}")
    return lines


if __name__ == "__main__":
    print(*asyncio.run(main()), sep="\n")
