"""`rota schedule start`, `stop`, `restart`, `hold` and `pause`: whether schedules fire. All may be repeated.

Schedules of the store are edited. Those that only the scheduler knows, because they are declared in code or come from a
provider, are paused and resumed by an order to the scheduler that leads.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rota.cli import option_types, output, questions
from rota.cli.opened_app import with_app
from rota.cli.option_types import Url, Yes
from rota.cli.schedule.opened_store import (
    ORIGIN,
    All,
    Names,
    StoreUrl,
    Tag,
    chosen_schedules,
    find_schedule,
    with_store,
)
from rota.core.text import counted
from rota.errors import BrokerError, ConfigError, OrderRefused, RotaError, SchedulerAway, StoreNotFound
from rota.inspect.named_queue import actor
from rota.schedule.definition import StoredSchedule
from rota.scheduler.schedule_handle import ScheduleHandle

if TYPE_CHECKING:
    from rota.store import Store

Until = Annotated[str | None, typer.Option("--until", help="The end (ISO 8601; local without an offset).")]
For = Annotated[str | None, typer.Option("--for", help="The length: 30m, 2h, 3d.")]
Note = Annotated[str | None, typer.Option("--note", help="The reason, for everybody to see.")]

STARTED: Mapping[str, Any] = {"enabled": True, "pause_until": None, "pause_note": None}


def start(
    names: Names = None,
    everything: All = False,
    tag: Tag = None,
    yes: Yes = False,
    store: StoreUrl = None,
    url: Url = None,
) -> None:
    """Start schedules that are stopped or paused. With --all, lift the hold, which wakes only what was started."""
    if everything:
        lifted = _lift(store)
        output.say("The hold is lifted." if lifted else "There is no hold. Name schedules, or --tag, to start them.")
        return
    by_order = _Ordering(lambda handle: handle.resume(), url)
    _change(names, tag, STARTED, "start", "Started", yes=yes, store=store, by_order=by_order)


def stop(
    names: Names = None,
    everything: All = False,
    tag: Tag = None,
    note: Note = None,
    yes: Yes = False,
    store: StoreUrl = None,
    url: Url = None,
) -> None:
    """Stop schedules until they are started. With --all, hold all of them. Runs that are under way go on."""
    if everything:
        hold(until=None, length=None, note=note, yes=yes, store=store)
        return
    patch = {"enabled": False, "pause_until": None, "pause_note": note}
    by_order = _Ordering(lambda handle: handle.pause(note=note or ""), url)
    _change(names, tag, patch, "stop", "Stopped", yes=yes, store=store, by_order=by_order)


def restart(
    names: Names = None, everything: All = False, tag: Tag = None, yes: Yes = False, store: StoreUrl = None
) -> None:
    """Stop and start schedules: their intervals count from now. With --all, only those that are started."""
    by = actor()

    async def act(opened: "Store", schedule: StoredSchedule) -> StoredSchedule:
        stopped = await opened.update(schedule.id, {"enabled": False}, by=by, origin=ORIGIN)
        return await opened.update(schedule.id, STARTED, by=by, origin=ORIGIN, expected_version=stopped.version)

    async def find(opened: "Store") -> list[StoredSchedule]:
        found = await chosen_schedules(opened, names, everything=everything, tag=tag)
        return [each for each in found if names or (each.definition.enabled and each.source == "database")]

    found = with_store(store, find)
    question = f"Restart {counted(len(found), 'schedule')}?"
    if not found or not questions.agreed(question, yes=yes or bool(names)):
        output.note("No schedule was restarted.")
        raise typer.Exit(0 if not found else 1)
    _each(found, act, "Restarted", store)


def pause(
    names: Names = None,
    everything: All = False,
    tag: Tag = None,
    until: Until = None,
    length: For = None,
    note: Note = None,
    yes: Yes = False,
    store: StoreUrl = None,
    url: Url = None,
) -> None:
    """Pause schedules until a time, after which they go on by themselves. With --all, hold all of them."""
    end = _end(until, length)
    if end is None:
        raise ConfigError("Until when? Write --for 2h or --until <time>; `rota schedule stop` stops for good.")
    if everything:
        hold(until=until, length=length, note=note, yes=yes, store=store)
        return
    patch = {"pause_until": end.isoformat(), "pause_note": note}
    by_order = _Ordering(lambda handle: handle.pause(end, note=note or ""), url)
    _change(names, tag, patch, "pause", "Paused", yes=yes, store=store, by_order=by_order)


def hold(
    until: Until = None,
    length: For = None,
    note: Note = None,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the hold.")] = False,
    yes: Yes = False,
    store: StoreUrl = None,
) -> None:
    """Hold all schedules of this installation, also over restarts, until the hold is lifted or ends."""
    if lift:
        output.say("The hold is lifted." if _lift(store) else "There is no hold.")
        return
    end = _end(until, length)
    if not questions.agreed("Hold all schedules? Nothing fires until the hold is lifted.", yes=yes):
        raise typer.Exit(1)
    by, reason = actor(), note or ""
    with_store(store, lambda opened: opened.set_hold(by=by, reason=reason, until=end, origin=ORIGIN), missing="refuse")
    ends = f" until {end:%Y-%m-%d %H:%M} UTC" if end else ""
    output.say(f"All schedules are held{ends}. `rota schedule start --all` lifts the hold.")


def _lift(store: str | None) -> bool:
    questions.guard("Lift the hold?")
    return with_store(store, lambda opened: opened.lift_hold(by=actor(), origin=ORIGIN)) is not None


@dataclass(frozen=True, slots=True)
class _Ordering:
    """How to change a schedule that is not in the store."""

    act: Callable[[ScheduleHandle], Awaitable[None]]
    url: str | None


def _change(
    names: list[str] | None,
    tag: str | None,
    patch: Mapping[str, Any],
    verb: str,
    done: str,
    *,
    yes: bool,
    store: str | None,
    by_order: _Ordering,
) -> None:
    by = actor()
    others: dict[str, StoreNotFound] = {}
    if names:
        found, others = with_store(store, lambda opened: _stored(opened, names))
    else:
        found = with_store(store, lambda opened: chosen_schedules(opened, names, tag=tag))
    question = f"{verb.capitalize()} {counted(len(found) + len(others), 'schedule')}?"
    if not questions.agreed(question, yes=yes or bool(names)):
        raise typer.Exit(1)

    async def act(opened: "Store", schedule: StoredSchedule) -> StoredSchedule:
        return await opened.update(schedule.id, patch, by=by, origin=ORIGIN)

    for name, unknown in others.items():
        _order(name, unknown, by_order, by)
        output.say(f"{done} {name!r}, which is not in the store, by an order to the scheduler.")
    if found or not others:
        _each(found, act, done, store)
    if verb == "start":
        for schedule in found:
            if schedule.definition.auto_pause is not None:
                _end_auto_pause(schedule.definition.name, by_order, by)


def _end_auto_pause(name: str, by_order: _Ordering, by: str) -> None:
    """End the pause that a schedule took by itself after failures. The scheduler keeps it, and not the store."""
    try:
        with_app(by_order.url, lambda app: by_order.act(app.schedule_handle(name, by=by)))
    except RotaError as error:
        output.warn(f"If {name!r} has paused itself after failures, start it again later: {error}")


async def _stored(store: "Store", names: list[str]) -> tuple[list[StoredSchedule], dict[str, StoreNotFound]]:
    """Return the schedules of these names that are in the store, and for the others the errors that say so."""
    found: list[StoredSchedule] = []
    others: dict[str, StoreNotFound] = {}
    for name in dict.fromkeys(names):
        try:
            found.append(await find_schedule(store, name))
        except StoreNotFound as error:
            others[name] = error
    return found, others


def _order(name: str, unknown: StoreNotFound, by_order: _Ordering, by: str) -> None:
    try:
        with_app(by_order.url, lambda app: by_order.act(app.schedule_handle(name, by=by)))
    except (SchedulerAway, BrokerError) as error:
        raise StoreNotFound(
            f"{unknown} If it is declared in code, only a scheduler that leads knows it, so start a scheduler first. "
            f"({error})"
        ) from None
    except OrderRefused as error:
        raise StoreNotFound(f"{unknown} {error}") from None


def _each(found: list[StoredSchedule], act: Any, done: str, store: str | None) -> None:
    """Change each schedule. One that cannot be changed is reported, and the others are changed."""

    async def run(opened: "Store") -> tuple[list[StoredSchedule], list[str]]:
        changed: list[StoredSchedule] = []
        failed: list[str] = []
        for schedule in found:
            try:
                made = await act(opened, schedule)
            except RotaError as error:
                failed.append(f"{schedule.definition.name}: {error}")
            else:
                if made.version != schedule.version:
                    changed.append(made)
        return changed, failed

    changed, failed = with_store(store, run)
    same = len(found) - len(changed) - len(failed)
    if len(found) == 1 and changed:
        output.say(f"{done} {changed[0].definition.name!r}.")
    else:
        output.say(f"{done} {counted(len(changed), 'schedule')}" + (f"; unchanged: {same}." if same else "."))
    for line in failed:
        output.fail(f"{line}")
    if failed:
        raise typer.Exit(1)


def _end(until: str | None, length: str | None) -> datetime | None:
    if until is not None and length is not None:
        raise ConfigError("--until and --for both say how long: give one of them.")
    duration = option_types.duration(length, "--for")
    if duration is not None:
        return output.now() + duration
    end = option_types.instant(until, "--until")
    if end is not None and end <= output.now():
        raise ConfigError(f"--until is {end.isoformat()}, which is in the past.")
    return None if end is None else end.astimezone(UTC)
