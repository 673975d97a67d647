"""Spans of enqueues and runs, with the real SDK."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from rota import OptionError, Retry, RetryLater, Rota, TaskFailed, events
from rota.contrib.opentelemetry import DUE, instrument, measure_runs

# What Go's propagation.TraceContext writes into a map, as in the example of the W3C recommendation.
GO_HEADERS = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "congo=t61rcWkgMzE",
}


class Traced:
    """An app whose spans are kept in memory."""

    def __init__(self, app: Rota) -> None:
        self.app = app
        self._kept = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = provider.get_tracer("test")
        instrument(app, tracer_provider=provider)

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._kept.get_finished_spans() if span.name == name]

    async def span(self, name: str) -> ReadableSpan:
        """Wait for the only span of a name."""
        async with asyncio.timeout(30):
            while not self.spans(name):
                await asyncio.sleep(0.005)
        (span,) = self.spans(name)
        return span


@pytest.fixture
async def traced(redis_url: str) -> AsyncIterator[Traced]:
    app = Rota(redis_url)
    yield Traced(app)
    await app.aclose()


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


async def test_enqueue_wait_and_run_are_spans_of_one_trace(traced: Traced) -> None:
    @traced.app.task("email:welcome", queue="low", retention="1m")
    async def welcome(user_id: int) -> None:
        with traced.tracer.start_as_current_span("inside"):
            await asyncio.sleep(0)

    with traced.tracer.start_as_current_span("request") as request:
        job = await welcome.enqueue(7)
    async with traced.app.worker(queues="low"):
        await job.result(timeout="30s")
    send, wait = await traced.span("send low"), await traced.span("wait low")
    process, inside = await traced.span("process low"), await traced.span("inside")

    assert send.context is not None
    assert process.context is not None
    assert parent(send) == request.get_span_context().span_id
    assert parent(wait) == parent(process) == send.context.span_id
    assert parent(inside) == process.context.span_id
    assert len({span.context.trace_id for span in (send, wait, process, inside) if span.context}) == 1
    assert (send.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert of(process) == {
        "messaging.system": "asynq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "low",
        "messaging.message.body.size": len(b'{"user_id":7}'),
        "messaging.message.id": job.id,
        "rota.task.type": "email:welcome",
        "rota.task.attempt": 1,
    }
    assert process.status.status_code is StatusCode.UNSET


async def test_span_that_a_function_makes_in_a_thread_is_below_the_run(traced: Traced) -> None:
    @traced.app.task("email:welcome", retention="1m")
    def welcome() -> None:
        with traced.tracer.start_as_current_span("inside"):
            pass

    async with traced.app.worker():
        await (await welcome.enqueue()).result(timeout="30s")
    process, inside = await traced.span("process default"), await traced.span("inside")

    assert process.context is not None
    assert parent(inside) == process.context.span_id


async def test_context_that_a_go_client_wrote_is_continued_without_a_wait(traced: Traced) -> None:
    async with Rota(traced.app.settings.broker.url) as go:
        await go.enqueue("email:welcome", headers=GO_HEADERS)

    @traced.app.task("email:welcome")
    async def welcome() -> None: ...

    async with traced.app.worker():
        process = await traced.span("process default")

    assert process.context is not None
    assert f"{process.context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert f"{parent(process):016x}" == "00f067aa0ba902b7"
    assert process.context.trace_state.get("congo") == "t61rcWkgMzE"
    assert traced.spans("wait default") == []


async def test_headers_are_those_that_go_reads_and_keep_the_others(traced: Traced) -> None:
    job = await traced.app.enqueue("email:welcome", headers={"tenant": "7"})

    headers = dict((await job.info()).headers)
    send = await traced.span("send default")
    assert send.context is not None
    assert headers.pop(DUE)
    assert headers == {
        "tenant": "7",
        "traceparent": f"00-{send.context.trace_id:032x}-{send.context.span_id:016x}-01",
    }


async def test_each_plan_of_many_is_a_span_beside_the_others(traced: Traced) -> None:
    plans = [traced.app.plan("email:welcome", {"id": number}) for number in range(3)]

    await traced.app.enqueue_many(plans)

    assert [parent(span) for span in traced.spans("send default")] == [None] * 3


async def test_failed_run_is_an_error_and_its_retry_another_span_of_the_trace(traced: Traced) -> None:
    @traced.app.task("email:fail", retry=Retry(max=1, delay=timedelta(milliseconds=10)), retention="1m")
    async def fail() -> None:
        raise ConnectionError("no server")

    async with traced.app.worker():
        with pytest.raises(TaskFailed):
            await (await fail.enqueue()).result(timeout="30s")
    first, second = traced.spans("process default")

    assert (of(first)["rota.task.attempt"], of(second)["rota.task.attempt"]) == (1, 2)
    assert first.status.status_code is StatusCode.ERROR
    assert of(first)["error.type"] == "ConnectionError"
    assert [event.name for event in first.events] == ["exception"]
    assert parent(first) == parent(second)
    assert len(traced.spans("wait default")) == 1


async def test_run_that_its_time_limit_stopped_is_an_error(traced: Traced) -> None:
    @traced.app.task("email:slow", retry=Retry(max=0), timeout="1s")
    async def slow() -> None:
        await asyncio.sleep(3600)

    await slow.enqueue()
    async with traced.app.worker():
        process = await traced.span("process default")

    assert process.status.status_code is StatusCode.ERROR
    assert of(process)["error.type"] == "TimeoutError"
    assert of(process)["rota.task.stopped"] is True


async def test_run_that_a_shutdown_stopped_is_not_an_error(traced: Traced) -> None:
    started = asyncio.Event()

    @traced.app.task("email:slow")
    async def slow() -> None:
        started.set()
        await asyncio.sleep(3600)

    await slow.enqueue()
    async with traced.app.worker(shutdown_timeout=0):
        await asyncio.wait_for(started.wait(), 30)
    process = await traced.span("process default")

    assert process.status.status_code is StatusCode.UNSET
    assert of(process)["rota.task.stop_reason"] == "shutdown"


async def test_task_that_asks_to_run_later_is_not_an_error(traced: Traced) -> None:
    @traced.app.task("email:later")
    async def later() -> None:
        raise RetryLater("1h")

    await later.enqueue()
    async with traced.app.worker():
        process = await traced.span("process default")

    assert process.status.status_code is StatusCode.UNSET
    assert of(process)["rota.task.instruction"] == "RetryLater"


@pytest.mark.parametrize(
    "headers", [{"traceparent": "nonsense", DUE: "yesterday"}, {"traceparent": "", DUE: "nan"}, {DUE: "9e99"}]
)
async def test_headers_that_make_no_sense_do_not_fail_a_task(traced: Traced, headers: dict[str, str]) -> None:
    async with Rota(traced.app.settings.broker.url) as other:
        await other.enqueue("email:welcome", headers=headers)

    @traced.app.task("email:welcome")
    async def welcome() -> None: ...

    async with traced.app.worker():
        process = await traced.span("process default")

    assert process.parent is None
    assert process.status.status_code is StatusCode.UNSET
    assert traced.spans("wait default") == []


async def test_enqueue_that_is_refused_is_an_error(traced: Traced) -> None:
    await traced.app.enqueue("email:welcome", task_id="one")
    with pytest.raises(Exception, match="is taken"):
        await traced.app.enqueue("email:welcome", task_id="one")

    assert [span.status.status_code for span in traced.spans("send default")] == [StatusCode.UNSET, StatusCode.ERROR]


def test_app_is_instrumented_only_once() -> None:
    app = Rota()
    instrument(app)
    with pytest.raises(OptionError, match="instrumented already"):
        instrument(app)


async def test_runs_are_counted_and_measured_by_their_outcome(redis_url: str) -> None:
    app, reader = Rota(redis_url), InMemoryMetricReader()
    end = measure_runs(MeterProvider([reader]))

    @app.task("email:welcome", retention="1m")
    async def welcome() -> None: ...

    async with app, app.worker():
        await (await welcome.enqueue()).result(timeout="30s")
    assert events.flush(30)
    end()
    assert not events.TaskEnded.observed

    data = reader.get_metrics_data()
    assert data is not None
    metrics = {each.name: each for scope in data.resource_metrics[0].scope_metrics for each in scope.metrics}
    (point,) = metrics["messaging.client.consumed.messages"].data.data_points
    assert dict(point.attributes or {})["rota.task.outcome"] == "succeeded"
    assert dict(point.attributes or {})["rota.task.type"] == "email:welcome"
    assert metrics["messaging.process.duration"].data.data_points
