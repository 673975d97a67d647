"""What a task can do when something goes wrong."""

from rota import Context, Retry, RetryLater, Revoke, Rota, SkipRetry

app = Rota()


class CardDeclined(Exception):
    """A retry would be declined too."""


@app.task(
    "payment:charge",
    retry=Retry(max=8, never=[CardDeclined], backoff="exponential", base="10s", cap="10m"),
    retention="1h",  # `result()` needs it
)
async def charge(order: int, cents: int) -> None:
    if cents > 100_000:
        raise CardDeclined(f"order {order}")
    if cents < 0:
        raise ValueError(f"{cents} cents")


@app.task("feed:poll", retention="1h")
async def poll(context: Context, feed: str) -> None:
    if feed.startswith("busy:") and context.retried == 0:
        raise RetryLater("1s")  # run again after one second
    if feed.startswith("dead:"):
        raise SkipRetry("this feed is gone")  # archive the task without a retry
    if feed == "":
        raise Revoke("nothing to do")  # end the task: no retry, no archive
