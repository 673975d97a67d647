"""`rota schedule run`, `skip`, `cancel` and `again`: single runs by hand, carried out by the scheduler that leads.

`run` and `skip` need only the server, and know schedules of every source. `cancel` and `again` read the run from the
store. Exit codes of `run --wait` and `again --wait`: 0 succeeded, 1 failed, 3 skipped, 4 cancelled, 5 not over in time.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from rota.app import Rota
from rota.cli import option_types, output, questions
from rota.cli.enqueue_command import printed
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Url
from rota.cli.schedule.opened_store import App, Planned, RunName, StoreUrl, declared_schedules, find_run, with_store
from rota.core.text import counted, did_you_mean, printable
from rota.errors import ConfigError, ResultNotKept, ResultTimeout, TaskCancelled, TaskFailed, TaskNotFound
from rota.inspect.named_queue import actor
from rota.schedule.definition import FIELDS, Overlap, ScheduleDefinition
from rota.schedule.run import ScheduleRun
from rota.scheduler.orders import ScheduleOrder, carry_out, manual_order_id

if TYPE_CHECKING:
    from rota.store import Store

Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end, and print the result or the error.")]
Timeout = Annotated[str | None, typer.Option("--timeout", help="How long --wait waits: 30s, 5m. Default: no limit.")]
OverlapRule = Annotated[str | None, typer.Option(help="allow, skip or replace, instead of the rule of the schedule.")]
FAILED, SKIPPED, CANCELLED, NOT_OVER = 1, 3, 4, 5
OVERLAPS = ("allow", "skip", "replace")


def run(
    name: Annotated[str, typer.Argument(help="The name or ID of the schedule.")],
    payload: Annotated[str | None, typer.Option(help="One JSON object, instead of its payload.")] = None,
    overlap: OverlapRule = None,
    wait: Wait = False,
    timeout: Timeout = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Run a schedule once, now, also if it is paused or runs only on demand.

    Exit code with --wait: 0 succeeded, 1 failed, 3 skipped, 4 cancelled, 5 not over in time.
    """
    definition = None if payload is None else {"payload": _json_object(payload)}
    order = _run_order(name, definition=definition, overlap=_overlap(overlap))
    questions.guard(f"Run the schedule {name!r}?")
    _run_and_show(order, wait, timeout, url, as_json)


def skip(
    name: Annotated[str, typer.Argument(help="The name or ID of the schedule.")],
    count: Annotated[int, typer.Option("--number", "-n", min=1, max=100, help="How many planned times.")] = 1,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Skip the next planned time of a schedule, or several, and print them."""
    questions.guard(f"Skip {counted(count, 'planned time')} of {name!r}?")
    times = with_app(url, lambda app: app.schedule_handle(name, by=actor()).skip_next(count))
    if as_json:
        output.print_json({"skipped": times})
        return
    for at in times:
        output.say(f"{name!r} skips {output.dated(at.astimezone(), '%Y-%m-%d %H:%M:%S %z')}.")


def cancel(name: RunName, planned: Planned = None, app: App = None, store: StoreUrl = None, url: Url = None) -> None:
    """Cancel a run: its tasks end without a retry, running ones by their worker."""
    declared, at = declared_schedules(app), option_types.instant(planned, "--planned")
    found = with_store(store, lambda opened: find_run(opened, name, at, declared))
    if found.is_over:
        output.say(f"The run is over already: {found.outcome}.")
        return
    questions.guard(f"Cancel the run {found.id}?")

    async def act(opened: Rota) -> int:
        gone = 0
        for task_id in found.task_ids:
            try:
                await opened.job(task_id, queue=found.queue).cancel(f"cancelled by {actor()}")
            except TaskNotFound:
                gone += 1
        return gone

    gone = with_app(url, act)
    left = len(found.task_ids) - gone
    note = f" {counted(gone, 'task')} of it are gone." if gone else ""
    output.say(f"Cancelled {counted(left, 'task')} of the run {found.id}.{note}")


def again(
    name: RunName,
    planned: Planned = None,
    overlap: OverlapRule = None,
    wait: Wait = False,
    timeout: Timeout = None,
    app: App = None,
    store: StoreUrl = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Run a past run again as it was: with the definition of that time, and with its payload while its task is kept."""

    declared, at = declared_schedules(app), option_types.instant(planned, "--planned")

    async def find(opened: "Store") -> tuple[ScheduleRun, ScheduleDefinition | None]:
        past = await find_run(opened, name, at, declared)
        page = await opened.versions(past.schedule_id, limit=500)
        return past, next((each.definition for each in page.items if each.version == past.schedule_version), None)

    past, was = with_store(store, find)
    definition: dict[str, Any] = {}
    if was is not None:
        written = was.to_mapping()
        definition = {field: written.get(field) for field in FIELDS if field != "name"}
    if past.task_ids and not (was is not None and was.fan_out) and (sent := _payload_of(past, url)) is not None:
        definition["payload"] = sent
    order = _run_order(
        past.schedule_id, definition=definition or None, overlap=_overlap(overlap), planned_at=past.planned_at
    )
    questions.guard(f"Run {past.id} again?")
    _run_and_show(order, wait, timeout, url, as_json)


async def outcome_of(app: Rota, run: ScheduleRun, limit: timedelta | None = None) -> tuple[int, Sequence[str | bytes]]:
    """Wait for the end of a run. Returns the exit code, and the results or the first error of its tasks."""
    if run.outcome == "skipped":
        return SKIPPED, [f"The run was skipped: {run.note or run.error or run.skip_reason}"]
    results: list[str | bytes] = []
    for task_id in run.task_ids:
        try:
            results.append(printed(await app.client.result(run.queue, task_id, limit)))
        except ResultNotKept:
            results.append("null")
        except TaskCancelled as error:
            return CANCELLED, [str(error)]
        except ResultTimeout as error:
            return NOT_OVER, [str(error)]
        except (TaskFailed, TaskNotFound) as error:
            return FAILED, [str(error)]
    return 0, results


def _run_order(name: str, **words: Any) -> ScheduleOrder:
    return ScheduleOrder(id=manual_order_id(), kind="run", schedule=name, by=actor(), **words)


def _run_and_show(order: ScheduleOrder, wait: bool, timeout: str | None, url: str | None, as_json: bool) -> None:
    """Send an order to run, and print its run; with `wait` its end."""
    limit = option_types.duration(timeout, "--timeout")
    if limit is not None and not wait:
        raise ConfigError("--timeout limits --wait: give both, or neither.")

    async def act(app: Rota) -> tuple[ScheduleRun, int, Sequence[str | bytes]]:
        answer = await app.client.carry_out(carry_out(app.keys, order))
        run = cast("ScheduleRun", answer.run)
        if wait and run.outcome is None and not as_json:
            output.note(f"The run {run.id} is in the queue {run.queue}.")
        if not wait and run.outcome != "skipped":
            return run, 0, ()
        return (run, *await outcome_of(app, run, limit))

    run, code, lines = with_app(url, act)
    if as_json:
        texts = [line if isinstance(line, str) else line.decode(errors="replace") for line in lines]
        output.print_json({"run": run, "exit_code": code, "lines": texts})
    elif not wait and code == 0:
        output.say(f"Enqueued the run {run.id} in the queue {run.queue}.")
    for line in () if as_json else lines:
        typer.echo(printable(line) if isinstance(line, str) else line, err=code != 0)
    raise typer.Exit(code)


def _payload_of(run: ScheduleRun, url: str | None) -> Any:
    """Return the payload that a run was sent with, if its task still exists."""

    async def act(app: Rota) -> Any:
        try:
            info = await app.job(run.task_ids[0], queue=run.queue).info()
            return json.loads(info.payload)
        except (TaskNotFound, ValueError):
            return None

    return with_app(url, act)


def _overlap(text: str | None) -> Overlap | None:
    if text is not None and text not in OVERLAPS:
        waits = text in get_args(Overlap)
        advice = "A run by hand does not wait for its turn." if waits else did_you_mean(text, OVERLAPS)
        raise ConfigError(f"--overlap is {text!r}, but must be one of {', '.join(OVERLAPS)}. {advice}")
    return cast("Overlap | None", text)


def _json_object(text: str) -> Any:
    found = option_types.json_payload(text)
    if not isinstance(found, dict):
        raise ConfigError(f"The payload is {text}, but must be one JSON object, such as '{{\"day\": 1}}'.")
    return cast("dict[str, Any]", found)
