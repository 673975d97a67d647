"""A part of a web server that enqueues tasks."""

from tasks import build_report, welcome


async def sign_up(user_id: int, locale: str) -> None:
    await welcome.enqueue(user_id, locale=locale)
    await build_report.options(delay="30d", queue="low").enqueue(user_id)
