"""Tasks about mail. This module does not know the app."""

from rota import Tasks

tasks = Tasks()


@tasks.task("receipt", retention="1h")
async def send_receipt(order: int, page: str) -> str:
    return f"receipt of order {order} sent with {page}"
