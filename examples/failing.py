"""What a task may do about trouble: be retried as a policy says, ask for another time, give up, or end quietly."""

from rota import Context, Retry, RetryLater, Revoke, Rota, SkipRetry

app = Rota()


class CardDeclined(Exception):
    """There is no point in trying again."""


@app.task("payment:charge", retry=Retry(max=8, never=[CardDeclined], backoff="exponential", base="2s", cap="10m"))
async def charge(order: int, cents: int) -> None:
    if cents > 100_000:
        raise CardDeclined(f"order {order}")


@app.task("feed:poll")
async def poll(context: Context, feed: str) -> str:
    if context.headers.get("busy") == "yes":
        raise RetryLater("30s", counts=False)  # as often as it takes: no retry is used up
    if feed.startswith("dead:"):
        raise SkipRetry("this feed is gone")  # straight to the archive
    if feed == "":
        raise Revoke("nothing to do")  # ended, neither retried nor archived
    return f"{feed} polled at attempt {context.retried + 1}"
