"""The smallest whole program: one task, one worker, one result. `python -m examples.hello`."""

import asyncio

from rota import Retry, Rota

# On ROTA_URL, or redis://localhost:6379/0. A worker of this app looks at the first queue twice as often.
app = Rota(settings={"queues": {"critical": 2, "default": 1}})


@app.task("email:welcome", queue="critical", timeout="30s", retry=Retry(max=5))
async def welcome(user_id: int, locale: str = "en") -> str:
    return f"user {user_id} is welcome ({locale})"


async def main() -> None:
    async with app, app.worker():
        print(await welcome.call(7, locale="sv", timeout="10s"))  # enqueue, wait, and return the result


if __name__ == "__main__":
    asyncio.run(main())
