"""The task `http:call`: what is sent, what comes back, and what is retried."""

import json
import threading
from collections.abc import Callable

import pytest

from examples.jobs import app
from examples.jobs.guarded_http import HttpFailed, HttpRefused
from examples.jobs.http_call import CallResult, call
from examples.jobs.settings import JobRefused
from rota import PayloadError, RetryLater, SkipRetry
from rota.testing import run_inline
from tests.examples.jobs.web_server import Reply, WebServer


async def run(url: str, **arguments: object) -> CallResult:
    return await run_inline(app, call.options(task_id="one").plan(url, **arguments))  # type: ignore[arg-type]


async def test_call_returns_the_answer(web: WebServer) -> None:
    result = await run(f"{web.url}/ping")

    assert (result.url, result.status, result.text, result.bytes) == (f"{web.url}/ping", 200, "all is well", 11)
    assert 0 <= result.seconds < 60


async def test_body_is_sent_as_json_with_the_id_of_the_task(web: WebServer) -> None:
    await run(web.url, method="POST", body={"name": "Zoë", "number": 7}, headers={"X-One": "1"})

    [asked] = web.asked
    assert (asked.method, json.loads(asked.body)) == ("POST", {"name": "Zoë", "number": 7})
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["content-length"] == str(len(asked.body))
    assert (asked.headers["idempotency-key"], asked.headers["x-one"]) == ("one", "1")


async def test_text_is_sent_as_it_is(web: WebServer) -> None:
    await run(web.url, method="PUT", body="a=b", headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert web.asked[0].body == b"a=b"
    assert web.asked[0].headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "other"}, {"Transfer-Encoding": "chunked"}, {"X": "a\r\nY: b"}, {"X Y": "é"}, {"content-length": "0"}],
)
async def test_header_that_would_change_the_request_is_refused(web: WebServer, headers: dict[str, str]) -> None:
    with pytest.raises(JobRefused, match="cannot be set"):
        await run(web.url, headers=headers)
    assert web.asked == []


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
async def test_failure_that_may_pass_is_retried(web: WebServer, status: int) -> None:
    web.answer = lambda asked: Reply(status, b"busy")

    with pytest.raises(HttpFailed, match=f"answered {status}: busy"):
        await run(web.url)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
async def test_failure_that_stays_is_not_retried(web: WebServer, status: int) -> None:
    web.answer = lambda asked: Reply(status)

    with pytest.raises(SkipRetry, match=f"answered {status}"):
        await run(web.url, redirects=0)


@pytest.mark.parametrize("status", [500, 408])
async def test_post_that_may_have_been_carried_out_is_not_retried(web: WebServer, status: int) -> None:
    web.answer = lambda asked: Reply(status)
    with pytest.raises(SkipRetry):
        await run(web.url, method="POST")

    web.answer = lambda asked: Reply(drop=True)
    with pytest.raises(SkipRetry, match="may have carried out this POST"):
        await run(web.url, method="POST")
    with pytest.raises(HttpFailed):
        await run(web.url)


async def test_post_that_was_refused_for_now_is_retried(web: WebServer) -> None:
    web.answer = lambda asked: Reply(503)

    with pytest.raises(HttpFailed):
        await run(web.url, method="POST")


@pytest.mark.parametrize(("text", "delay"), [("7", 7), ("100000", 3600), ("Wed, 21 Oct 2015 07:28:00 GMT", 1)])
async def test_server_says_when_to_try_again(web: WebServer, text: str, delay: float) -> None:
    web.answer = lambda asked: Reply(429, headers={"Retry-After": text})

    with pytest.raises(RetryLater) as caught:
        await run(web.url)
    assert caught.value.delay.total_seconds() == delay  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["soon", "-1", "Wed, 21 Foo 2015"])
async def test_time_that_cannot_be_read_leaves_the_delay_to_the_retry_rule(web: WebServer, text: str) -> None:
    web.answer = lambda asked: Reply(429, headers={"Retry-After": text})

    with pytest.raises(HttpFailed):
        await run(web.url)


async def test_expected_status_is_a_success_and_others_are_not(web: WebServer) -> None:
    web.answer = lambda asked: Reply(404)
    assert (await run(web.url, expect=[404])).status == 404

    web.answer = lambda asked: Reply(200)
    with pytest.raises(SkipRetry):
        await run(web.url, expect=[404])


async def test_time_limit_ends_a_call(web: WebServer) -> None:
    end = threading.Event()
    web.answer = lambda asked: Reply(wait=end)
    try:
        with pytest.raises(HttpFailed, match="did not answer within"):
            await run(web.url, time_limit="300ms")
    finally:
        end.set()


async def test_host_outside_of_the_settings_is_refused_without_a_retry(web: WebServer) -> None:
    retry = call.options().plan(web.url)
    assert retry.type == "http:call"

    with pytest.raises(HttpRefused, match="JOBS_HTTP_HOSTS does not name"):
        await run("http://127.0.0.1:1/")
    handler = app.find_handler("http:call")
    assert handler is not None
    assert handler.retry is not None
    assert handler.retry.forbids(HttpRefused("x"))


async def test_method_and_limits_are_checked_before_anything_is_sent(web: WebServer) -> None:
    with pytest.raises(PayloadError):
        await run(web.url, method="TRACE")
    with pytest.raises(PayloadError):
        await run(web.url, redirects=11)
    assert web.asked == []


@pytest.fixture(autouse=True)
def _state(configure: Callable[..., dict[str, str]]) -> None:
    configure()
