"""Trace enqueues and runs with OpenTelemetry, and print the spans."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from rota import Rota
from rota.contrib.opentelemetry import instrument

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)

app = Rota()
instrument(app)


@app.task("mail:send", retention="1m")
async def send(address: str) -> None:
    trace.get_current_span().set_attribute("mail.domain", address.partition("@")[2])


async def main() -> None:
    async with app, app.worker():
        job = await send.enqueue("ann@example.org")
        await job.result(timeout="10s")
