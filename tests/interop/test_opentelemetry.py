"""A trace goes on between Go and Python: Go's own OpenTelemetry on one side of a queue, `rota.contrib` on the other."""

import asyncio
import json
import subprocess
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span

from interop.build import binaries
from interop.programs import Go
from rota import Rota
from rota.contrib.opentelemetry import instrument


def go_span(*words: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Start a span in Go, with `-receive` below the one that the headers name."""
    lines = "" if headers is None else json.dumps(headers)
    done = subprocess.run([binaries() / "trace", *words], input=lines, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.fixture
def spans(app: Rota) -> InMemorySpanExporter:
    """The spans of the app."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    instrument(app, tracer_provider=provider)
    return kept


def only(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = (span for span in spans.get_finished_spans() if span.name == name)
    return span


async def test_run_continues_the_trace_that_go_has_begun(app: Rota, go: Go, spans: InMemorySpanExporter) -> None:
    seen: asyncio.Queue[tuple[int, object]] = asyncio.Queue()

    @app.task("mail:send")
    async def send() -> None:
        seen.put_nowait((get_current_span().get_span_context().trace_id, baggage.get_baggage("tenant")))

    began = await asyncio.to_thread(go_span)
    async with app.worker():
        await go.enqueue("mail:send", b"{}", headers=began["headers"])
        trace_id, tenant = await asyncio.wait_for(seen.get(), 20)
    run = only(spans, "process default")

    assert f"{trace_id:032x}" == began["trace_id"]
    assert run.parent is not None
    assert f"{run.parent.span_id:016x}" == began["span_id"]
    assert run.parent.trace_flags.sampled
    assert tenant == "7", "the baggage of Go is lost on its way to the handler"


async def test_go_handler_continues_the_trace_of_our_enqueue(app: Rota, go: Go, spans: InMemorySpanExporter) -> None:
    async with go.server(queues={"default": 1}, tasks={"mail:send": {}}) as server:
        await app.enqueue("mail:send", {})
        started = await server.wait_one(event="start")
    went_on = await asyncio.to_thread(go_span, "-receive", headers=started.headers)
    sent = only(spans, "send default")

    assert sent.context is not None
    assert went_on["trace_id"] == f"{sent.context.trace_id:032x}"
    assert went_on["parent_id"] == f"{sent.context.span_id:016x}"
    assert went_on["sampled"]
