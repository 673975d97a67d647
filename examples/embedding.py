"""A worker inside a program that has its own event loop, with what the tasks need made at start and injected."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from rota import INJECTED, Context, Depends, Rota


@dataclass
class Prices:
    """Stands for a pool of database connections."""

    cents: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def lifespan(app: Rota) -> AsyncIterator[Prices]:
    prices = Prices({"tea": 250})
    yield prices  # handlers find it as context.state
    prices.cents.clear()


app = Rota(lifespan=lifespan)


def prices(context: Context) -> Prices:
    found: Prices = context.state
    return found


@app.task("price:look-up")
async def look_up(product: str, prices: Annotated[Prices, Depends(prices)] = INJECTED) -> int:
    return prices.cents[product]


async def main() -> int:
    async with app.worker(concurrency=20):
        # The rest of the program runs here: a web server, a bot, a test.
        return await look_up.call("tea", timeout="10s")


if __name__ == "__main__":
    print(asyncio.run(main()))
