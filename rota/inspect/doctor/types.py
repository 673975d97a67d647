"""Checks for task types that have no handler."""

from collections import Counter
from collections.abc import Callable, Iterator

from rota.inspect.doctor.finding import Finding, error, warning
from rota.inspect.doctor.sample import QueueSample, Sample

NOT_FOUND = "handler not found"
MOST_TYPES = 5


def types(sample: Sample, handles: Callable[[str], bool] | None) -> Iterator[Finding]:
    """Report types that no worker handles and, with `handles`, types that the app does not handle.

    A worker publishes its types. The types of a Go server are not known, but the errors of its tasks tell.
    """
    for each in sample.queues:
        yield from _unknown(each, sample)
        yield from _sent_back(each)
        yield from _given_up(each)
        if handles is not None:
            yield from _unhandled(each, handles)


def _unknown(each: QueueSample, sample: Sample) -> Iterator[Finding]:
    servers = {server.id for server in sample.servers if each.name in server.queues and server.status == "active"}
    if not servers or servers.intersection(sample.types.unpublished) or sample.types.omitted:
        return
    waiting = Counter(task.type for task in each.all_tasks if task.type and NOT_FOUND not in task.last_error)
    found = Counter({name: count for name, count in waiting.items() if sample.types.find(name, servers) is None})
    if found:
        yield error(
            "unhandled-types",
            f"No worker of the queue {each.name!r} handles the type of these tasks: {_list(found)}.",
            "The name is a slip of a producer, or the worker that handles it does not run or does not serve the queue.",
            "Compare the name with `rota types`; start the worker that handles it, or correct the producer.",
        )


def _sent_back(each: QueueSample) -> Iterator[Finding]:
    found = Counter(task.type for task in each.all_tasks if NOT_FOUND in task.last_error)
    if found:
        yield error(
            "unhandled-types",
            f"Tasks of the queue {each.name!r} were taken by servers that do not know their type: {_list(found)}.",
            "No server of the queue handles the type, or only some do. Rota hands such a task on and spends no retry; "
            "a Go server spends one each time.",
            "Register a handler, start the worker that has it, or give these tasks a queue of its own.",
        )


def _given_up(each: QueueSample) -> Iterator[Finding]:
    found = Counter(task.type for task in each.archived if NOT_FOUND in task.last_error)
    if found:
        yield warning(
            "unhandled-types",
            f"Tasks in the archive of the queue {each.name!r} had no handler when they failed: {_list(found)}.",
            "A Go server spends a retry each time it takes such a task, and archives it when none is left.",
            "Register a handler and start its worker; then run them again (Asynq's tools: asynq task run), or delete "
            "them.",
        )


def _unhandled(each: QueueSample, handles: Callable[[str], bool]) -> Iterator[Finding]:
    names = (task.type for task in each.all_tasks if task.type and NOT_FOUND not in task.last_error)
    found = Counter(name for name in names if not handles(name))
    if found:
        yield error(
            "unhandled-types",
            f"The app does not handle the type of tasks in the queue {each.name!r}: {_list(found)}.",
            "The name is a slip, its module is not imported by the app, or another program handles it.",
            "Register a handler and import its module where the app is made; or leave that queue to the other program.",
        )


def _list(found: Counter[str]) -> str:
    shown = [f"{name} ({count})" for name, count in found.most_common(MOST_TYPES)]
    more = len(found) - MOST_TYPES
    return ", ".join(shown) + (f" and {more} more types" if more > 0 else "")
