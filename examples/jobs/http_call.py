"""The generic task `http:call`: one HTTP request, to hosts that the settings name."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal

from annotated_types import Interval
from pydantic import JsonValue

from examples.jobs.guarded_http import HttpAnswer, HttpFailed, HttpRequest, request
from examples.jobs.settings import JobRefused, JobSettings
from rota import Context, Retry, RetryLater, SkipRetry, Tasks
from rota.core.duration import Duration

tasks = Tasks()
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

_REPEATABLE = frozenset(["GET", "HEAD", "PUT", "DELETE"])
_OURS = frozenset(["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"])
_LATER = frozenset([425, 429, 503])
_TRANSIENT = frozenset([408, *range(500, 600)])
_LONGEST_WAIT = timedelta(hours=1)
_SHOWN = 10_000


@dataclass(frozen=True, slots=True)
class CallResult:
    """The answer to a call. `text` has the first 10,000 characters of the body."""

    url: str
    status: int
    bytes: int
    seconds: float
    text: str


@tasks.task(
    "call",
    timeout="10m",
    retention="7d",
    retry=Retry(max=5, backoff="exponential", base="10s", cap="10m", jitter=0.2, never=[JobRefused]),
)
async def call(
    context: Context,
    url: str,
    method: Method = "GET",
    headers: dict[str, str] | None = None,
    body: JsonValue = None,
    time_limit: Duration = timedelta(seconds=30),
    redirects: Annotated[int, Interval(ge=0, le=10)] = 3,
    expect: list[int] | None = None,
) -> CallResult:
    """Send one HTTP request and return the answer.

    `body` is sent as JSON, or as it is if it is a text. The task fails unless the status is in `expect` (200 to 299 by
    default). A failure that may pass is retried: no connection, 408, 425, 429 and 5xx, with `Retry-After` obeyed. A
    POST or PATCH that the server may have carried out is not retried. The header `Idempotency-Key` has the ID of the
    task, so that a server can recognise a repetition.
    """
    asked = HttpRequest(method, url, _headers(context.id, headers, body), _body(body), time_limit, redirects)
    try:
        answer = await request(JobSettings.read(), asked)
    except HttpFailed as error:
        if error.sent and method not in _REPEATABLE:
            raise SkipRetry(f"{error} The server may have carried out this {method}, so it is not repeated.") from error
        raise
    _judge(method, answer, expect)
    text = answer.body.decode(errors="replace")[:_SHOWN]
    return CallResult(answer.url, answer.status, len(answer.body), round(answer.seconds, 3), text)


def _headers(task_id: str, given: dict[str, str] | None, body: JsonValue) -> dict[str, str]:
    headers = {name.lower(): value for name, value in (given or {}).items()}
    for name, value in headers.items():
        if name in _OURS or not name.isascii() or not value.isascii() or not (name + value).isprintable():
            raise JobRefused(f"The header {name!r} cannot be set.")
    kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
    own = {"idempotency-key": task_id} | ({} if body is None else {"content-type": kind})
    return own | headers


def _body(body: JsonValue) -> bytes:
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode()


def _judge(method: str, answer: HttpAnswer, expect: list[int] | None) -> None:
    status = answer.status
    if status in expect if expect else 200 <= status < 300:
        return
    text = f"{answer.url} answered {status}: {answer.body[:200].decode(errors='replace')}"
    if status in _LATER:
        if wait := _retry_after(answer):
            raise RetryLater(wait, reason=text)
        raise HttpFailed(text, sent=True)  # the server has said that it did not carry the request out
    if status in _TRANSIENT and method in _REPEATABLE:
        raise HttpFailed(text, sent=True)
    raise SkipRetry(text)


def _retry_after(answer: HttpAnswer) -> timedelta | None:
    text = answer.headers.get("retry-after", "").strip()
    try:
        wait = timedelta(seconds=int(text)) if text.isdigit() else parsedate_to_datetime(text) - datetime.now(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(seconds=1)), _LONGEST_WAIT)
