"""Traces and metrics for OpenTelemetry, by its semantic conventions for messaging. Needs `rota[otel]`.

`instrument(app)` adds an enqueue middleware and a middleware:

1. An enqueue is a span `send <queue>`. Its context travels in the headers of the task, by default as `traceparent` and
   `tracestate`. Go's `propagation.TraceContext` reads and writes the same headers.
2. The time from the enqueue, or from the time for which the task was scheduled, until the first run is a span
   `wait <queue>`. The header `rota-due` has its start. A task of a Go client has no such header, and no such span.
3. Each run is a span `process <queue>`, which is current while the function runs in the event loop or in a thread. A
   task with `run="process"` runs in another process, so spans that its function makes are not below this span.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode, TraceFlags, Tracer

from rota import events
from rota.errors import OptionError, RetryLater, Revoke
from rota.tasks.context import Context
from rota.tasks.job import Plan
from rota.wire.enqueue import DEFAULT_QUEUE

if TYPE_CHECKING:
    from opentelemetry.context import Context as TraceContext
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Span, TracerProvider

    from rota.app import Rota

DUE = "rota-due"
"""The header with the time from which a task could run: seconds since 1970."""
_NAME = "rota"
_instrumented: "WeakSet[Rota]" = WeakSet()


def instrument(
    app: "Rota",
    *,
    tracer_provider: "TracerProvider | None" = None,
    propagator: "TextMapPropagator | None" = None,
) -> None:
    """Make spans for the enqueues and the runs of an app. Call it right after the app is made, and once.

    Without a provider or propagator the global ones are used, also if they are set later.
    """
    if app in _instrumented:
        raise OptionError("This app is instrumented already: instrument(app) a second time would make each span twice.")
    _instrumented.add(app)
    spans = _Spans(trace.get_tracer(_NAME, tracer_provider=tracer_provider), propagator)
    app.enqueue_middleware(spans.enqueue)
    app.middleware(spans.run)


def measure_runs(meter_provider: "MeterProvider | None" = None) -> Callable[[], None]:
    """Record the number and the duration of all runs in this process, by queue, type and outcome. Call it once.

    This makes two events for each task, which takes some microseconds. Returns a function that ends it.
    """
    meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
    consumed = meter.create_counter("messaging.client.consumed.messages", unit="{message}")
    duration = meter.create_histogram("messaging.process.duration", unit="s")

    def record(event: events.TaskEnded) -> None:
        attributes = {
            "messaging.system": "asynq",
            "messaging.operation.name": "process",
            "messaging.destination.name": event.queue,
            "rota.task.type": event.task_type,
            "rota.task.outcome": event.outcome,
        }
        consumed.add(1, attributes)
        duration.record(event.seconds, attributes)

    return events.subscribe(events.TaskEnded, record)


class _Spans:
    def __init__(self, tracer: Tracer, propagator: "TextMapPropagator | None") -> None:
        self._tracer = tracer
        self._propagator = propagator

    def enqueue(self, plan: Plan[Any]) -> Generator[Plan[Any]]:
        # The span is not made current, because the middlewares of many plans are entered one inside of another.
        queue = plan.options.queue or DEFAULT_QUEUE
        attributes = _attributes("send", queue, plan.type, plan.payload)
        span = self._tracer.start_span(f"send {queue}", kind=SpanKind.PRODUCER, attributes=attributes)
        try:
            headers: dict[str, str] = {DUE: repr(_due(plan))}
            context = trace.set_span_in_context(span)
            (self._propagator or propagate.get_global_textmap()).inject(headers, context)  # pyright: ignore[reportArgumentType] - its default setter is for any mapping
            _keep_only_the_sampled_flag(headers)
            yield plan.with_headers(headers)
        except Exception as error:
            _fail(span, error)
            raise
        finally:
            span.end()

    async def run(self, context: Context) -> AsyncGenerator[None]:
        parent = (self._propagator or propagate.get_global_textmap()).extract(dict(context.headers))
        self._note_wait(context, parent)
        attributes = _attributes("process", context.queue, context.type, context.payload)
        span = self._tracer.start_span(
            f"process {context.queue}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes={**attributes, "messaging.message.id": context.id, "rota.task.attempt": context.retried + 1},
        )
        # The whole context of the headers is current in the function, also its baggage.
        within = contexts.Context({**contexts.get_current(), **trace.set_span_in_context(span, parent)})
        token = contexts.attach(within)
        try:
            yield
        except (RetryLater, Revoke) as instruction:  # not a failure
            span.set_attribute("rota.task.instruction", type(instruction).__name__)
            raise
        except asyncio.CancelledError:
            span.set_attribute("rota.task.stopped", True)
            if context.cancel_reason:
                span.set_attribute("rota.task.stop_reason", context.cancel_reason)
            if context.time_left == timedelta(0):  # stopped by a time limit, which is a failure
                _fail(span, TimeoutError(context.cancel_reason))
            raise
        except BaseException as error:
            _fail(span, error)
            raise
        finally:
            contexts.detach(token)
            span.end()

    def _note_wait(self, context: Context, parent: "TraceContext") -> None:
        now, due = time.time(), _number(context.headers)
        if due is None or context.retried or due > now:  # the clocks of two machines may differ
            return
        attributes = {"messaging.destination.name": context.queue, "messaging.message.id": context.id}
        span = self._tracer.start_span(
            f"wait {context.queue}", context=parent, attributes=attributes, start_time=int(due * 1e9)
        )
        span.end(int(now * 1e9))


def _due(plan: Plan[Any]) -> float:
    options = plan.options
    if options.process_at is not None:
        return options.process_at.timestamp()
    delay = options.delay or (options.debounce.wait if options.debounce else None)
    return time.time() + (delay.total_seconds() if delay else 0.0)


def _keep_only_the_sampled_flag(headers: dict[str, str]) -> None:
    """Clear the flag "random" of a `traceparent`: before 1.42, Go's library refuses a context that has it."""
    head, _, flags = headers.get("traceparent", "").rpartition("-")
    if head.startswith("00-"):
        headers["traceparent"] = f"{head}-{int(flags, 16) & TraceFlags.SAMPLED:02x}"


def _number(headers: Mapping[str, str]) -> float | None:
    """Return the time in the header; None if there is none, or if another program has written something else."""
    try:
        due = float(headers[DUE])
    except (KeyError, ValueError):
        return None
    return due if 0 < due < 1e11 else None


def _attributes(act: str, queue: str, task_type: str, payload: bytes) -> dict[str, str | int]:
    return {
        "messaging.system": "asynq",
        "messaging.operation.name": act,
        "messaging.operation.type": act,
        "messaging.destination.name": queue,
        "messaging.message.body.size": len(payload),
        "rota.task.type": task_type,
    }


def _fail(span: "Span", error: BaseException) -> None:
    span.record_exception(error)
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR, type(error).__qualname__))
