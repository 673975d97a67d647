"""Tasks about orders. They enqueue a task of another router, in the worker and in a process of its own."""

from collections.abc import AsyncGenerator

from examples.routers.emails import send_receipt
from rota import Context, Tasks

tasks = Tasks()


@tasks.middleware
async def note_order(context: Context) -> AsyncGenerator[None]:
    """Runs around the tasks of this router only."""
    context.log(f"order task {context.type} in queue {context.queue}")
    yield


@tasks.task("invoice", run="process", timeout="1m", retention="1h")
def write_invoice(order: int) -> str:
    page = f"invoice-{order}.pdf"
    return send_receipt.enqueue_sync(order, page).id


@tasks.task("ship", retention="1h")
async def ship(order: int) -> str:
    job = await write_invoice.enqueue(order)
    return job.id
