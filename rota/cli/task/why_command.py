"""`rota task why`: why one task does not run now."""

from typing import Annotated

import typer

from rota.cli import output
from rota.cli.inspecting import opened
from rota.cli.language import language
from rota.cli.option_types import AsJson, Url, duration
from rota.core.text import counted
from rota.errors import ConfigError, TaskNotFound
from rota.inspect import SyncInspector, TaskRef
from rota.inspect.query import Field, Pattern, Query, TextTerm
from rota.inspect.waiting_words import words


def why(
    id: Annotated[str, typer.Argument(help="The ID of the task.")],
    queue: Annotated[str | None, typer.Option(help="Its queue. Without it, all queues are searched.")] = None,
    watch: Annotated[
        str, typer.Option(help="How long to watch the queue for a forecast, if other tasks come first; 0 for none.")
    ] = "1s",
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Say why a task does not run: each cause, the worst first, and what to do about it."""
    length = duration(watch, "--watch")
    with opened(url) as inspector:
        ref = TaskRef(queue, id) if queue is not None else _find(inspector, id)
        waiting = inspector.why(*ref, watch=length or None)
    if as_json:
        output.print_json(
            {
                "queue": waiting.queue,
                "id": waiting.id,
                "state": waiting.state,
                "type": waiting.type or None,
                "causes": [
                    {"reason": cause.reason, "facts": cause.facts, "words": words(cause)} for cause in waiting.causes
                ],
            }
        )
        return
    state = waiting.state.value if waiting.state else "-"
    output.say(f"{waiting.type or '-'}  {state}  {waiting.queue}  {waiting.id}")
    for cause in waiting.causes:
        output.say(f"- {words(cause, language())}")


def _find(inspector: SyncInspector, id: str) -> TaskRef:
    query = Query((TextTerm(Field.ID, (Pattern((id,)),)),))
    found = [hit.ref for page in inspector.search(query) for hit in page.hits]
    if not found:
        raise TaskNotFound(
            f"No queue has a task {id!r}: it was deleted, it has ended and was not kept, or it was never there."
        )
    if len(found) > 1:
        queues = ", ".join(ref.queue for ref in found)
        raise ConfigError(f"{counted(len(found), 'queue')} have a task with this ID. Name one with --queue: {queues}")
    return found[0]
