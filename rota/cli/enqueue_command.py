"""`rota enqueue`: enqueues one task from the shell."""

import asyncio
import json
import sys
from datetime import timedelta
from typing import Annotated, Any, cast

import typer
from pydantic_core import from_json

from rota.app import Rota
from rota.cli import option_types as words
from rota.cli import output, questions
from rota.cli.language import translated
from rota.cli.opened_app import app_of
from rota.cli.option_types import Url
from rota.cli.target import Discover, target_of
from rota.core.text import nearest
from rota.errors import OptionError, PayloadError
from rota.tasks.options import EnqueueOptions
from rota.wire import names


def command(
    type: Annotated[str, typer.Argument(help="The task type, such as email:welcome.")],
    payload: Annotated[str, typer.Argument(help="Its arguments as one JSON object; - reads them from stdin.")] = "{}",
    app: Annotated[
        str | None, typer.Option(help="module:app, whose server and checks apply; without it the setting `app`.")
    ] = None,
    discover: Discover = None,
    url: Url = None,
    queue: Annotated[str | None, typer.Option(help="The queue.")] = None,
    delay: Annotated[str | None, typer.Option(help="Run after this delay: 30s, 5m, 1h30m.")] = None,
    at: Annotated[str | None, typer.Option(help="Run at this time (ISO 8601; local without an offset).")] = None,
    max_retry: Annotated[int | None, typer.Option(min=0, help="How often it may be retried; 0 means never.")] = None,
    timeout: Annotated[str | None, typer.Option(help="How long a run may take.")] = None,
    deadline: Annotated[str | None, typer.Option(help="When the task is given up (ISO 8601).")] = None,
    task_id: Annotated[
        str | None, typer.Option(help="An ID of your own. A second task with this ID is refused.")
    ] = None,
    unique: Annotated[
        str | None, typer.Option(help="Do not add a second task with the same payload for this time.")
    ] = None,
    retention: Annotated[str | None, typer.Option(help="Keep the task for this time after its success.")] = None,
    group: Annotated[str | None, typer.Option(help="The group to be aggregated with.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    wait: Annotated[
        str | None, typer.Option(help="Wait this long for the result, which is kept for it, and print it.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Send the payload as it is, not as JSON.")] = False,
) -> None:
    """Enqueue a task and print its ID, or with --wait its result."""
    options = _said(
        queue=queue,
        delay=words.duration(delay, "--delay"),
        process_at=words.instant(at, "--at"),
        max_retry=max_retry,
        timeout=words.duration(timeout, "--timeout"),
        deadline=words.instant(deadline, "--deadline"),
        task_id=task_id,
        unique=words.duration(unique, "--unique"),
        retention=words.duration(retention, "--retention"),
        group=group,
        headers=words.headers(header or []) or None,
    )
    wait_for = words.duration(wait, "--wait")
    data = sys.stdin.buffer.read() if payload == "-" else names.raw(payload)
    content = data if raw else _json(data)
    target = target_of(app, None, discover)
    chosen = app_of(url, target)
    if target and chosen.find_handler(type) is None:
        output.note(_not_handled(chosen, target, type))
    typer.echo(asyncio.run(_enqueue(chosen, type, content, options, wait_for)))


def _not_handled(app: Rota, target: str, task_type: str) -> str:
    """Return a warning that the app does not handle a type. The task is sent, because a Go server may handle it."""
    near = nearest(task_type, [handler.type for handler in app.registry])
    advice = f"Did you mean {near!r}?" if near else "Another program has to handle it."
    return f"warning {target} does not handle the type {task_type!r}, so its checks do not apply. {advice}"


async def _enqueue(
    app: Rota, task_type: str, payload: Any, options: EnqueueOptions, wait: timedelta | None
) -> str | bytes:
    try:
        plan = app.plan(task_type, payload, **options)
        questions.guard(f"Enqueue a task of the type {task_type!r}?")
        if wait is not None:
            if plan.options.retention == timedelta(0):
                raise OptionError("--wait needs a result, but with a retention of 0 the task keeps none.")
            return printed(await app.call(plan._replace(decode=bytes), wait))
        job = await app.send(plan)
        return job.id if job.created else f"{job.id}{translated(' (existed already)')}"
    except PayloadError as error:  # wrong use of this command, and not a task that cannot be read
        raise OptionError(str(error)) from None
    finally:
        await app.aclose()


def printed(stored: bytes) -> str | bytes:
    """Return a stored result as JSON, or as it is if it is not JSON. A function without a result stores nothing."""
    try:
        return json.dumps(from_json(stored or b"null"), ensure_ascii=False)
    except ValueError:
        return stored


def _said(**options: Any) -> EnqueueOptions:
    return cast("EnqueueOptions", {name: value for name, value in options.items() if value is not None})


def _json(data: bytes) -> Any:
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise OptionError(
            f"The payload is not JSON ({error}). Quote it for the shell, or add --raw to send it as it is."
        ) from None
