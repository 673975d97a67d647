"""A producer process: enqueues until it is told to stop, and writes down what was accepted.

`python -m tests.crash.producer <url> <ledger> <count> <pause in seconds> <seed>`
"""

import random
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from rota import events
from rota.app import Rota
from rota.errors import BrokerUnavailable, RotaError, TaskIdConflict
from rota.tasks.job import Plan, SyncJob
from tests.crash.ledger import Ledger, Writer, moment

MOST_IN_A_BURST = 20
PATIENCE_SECONDS = 30.0


@contextmanager
def noting_repetitions(note: Writer, tasks: Iterable[str]) -> Iterator[None]:
    """Write down that these tasks were sent again, if any was."""
    before = _repetitions()
    try:
        yield
    finally:
        if _repetitions() > before:
            note("repeated", tasks=list(tasks))


def _repetitions() -> int:
    """How often the client has sent requests again, because their answers were lost."""
    return events.counts().get(events.RequestsRepeated.__name__, 0)


def accept(app: Rota, note: Writer, plans: list[Plan[Any]]) -> int:
    """Enqueue, and write down what was accepted. Returns how many were."""
    queues = announced(note, plans)
    with noting_repetitions(note, queues):
        accepted = made(plans, app.enqueue_many_sync(plans))
    note.accepted({task: queues[task] for task in accepted})
    note_due(note, plans)
    return len(accepted)


def insist(app: Rota, note: Writer, plans: list[Plan[Any]]) -> int:
    """The same, and what got no answer is enqueued again under its ID, until each task has one."""
    queues, accepted, left = announced(note, plans), 0, plans
    deadline = time.monotonic() + PATIENCE_SECONDS
    with noting_repetitions(note, queues):
        while left and time.monotonic() < deadline:
            outcomes = app.enqueue_many_sync(left)
            there = made(left, outcomes)
            unsure = [plan for plan, each in zip(left, outcomes, strict=True) if isinstance(each, BrokerUnavailable)]
            if left is not plans:  # an ID that is taken by now was taken by an earlier enqueue
                note("repeated", tasks=[plan.options.task_id for plan in left])
                asked = zip(left, outcomes, strict=True)
                there += [plan.options.task_id or "" for plan, each in asked if isinstance(each, TaskIdConflict)]
            note.accepted({task: queues[task] for task in there})
            accepted, left = accepted + len(there), unsure
    note_due(note, plans)
    return accepted


def announced(note: Writer, plans: list[Plan[Any]]) -> dict[str, str]:
    """Write down what is about to be enqueued. Returns the queues by task."""
    queues = {plan.options.task_id or "": plan.options.queue or "default" for plan in plans}
    note.accepted(queues, "unsure")
    for plan in plans:
        if (deadline := plan.options.deadline) is not None:
            note("deadline", at=moment(deadline.timestamp()), task=plan.options.task_id)
    return queues


def note_due(note: Writer, plans: list[Plan[Any]]) -> None:
    """Write down when delayed tasks are due, at the latest: by then they have been accepted."""
    now = time.monotonic()
    for plan in plans:
        if plan.options.delay is not None:
            note("due", at=now + plan.options.delay.total_seconds(), task=plan.options.task_id)
        elif plan.options.process_at is not None:
            note("due", at=moment(plan.options.process_at.timestamp()), task=plan.options.task_id)


def made(plans: list[Plan[Any]], answers: list[SyncJob[Any] | RotaError]) -> list[str]:
    """The tasks that are new. A unique one that exists under another ID is not the one that was asked for."""
    for error in {str(each): each for each in answers if isinstance(each, RotaError)}.values():
        print(f"Not accepted: {error}", file=sys.stderr, flush=True)  # noqa: T201
    asked = zip(plans, answers, strict=True)
    return [plan.options.task_id or "" for plan, each in asked if isinstance(each, SyncJob) and each.created]


def orders(app: Rota, name: str, count: int, chance: random.Random) -> Iterator[Plan[Any]]:
    """Tasks of all kinds: quick and slow, on the loop and in threads, failing, delayed, kept."""
    for number in range(count):
        order: dict[str, Any] = {"seconds": chance.choice((0, 0, 0.01, 0.05, 0.5))}
        if chance.random() < 0.1:
            order["fail"] = chance.choice((1, 2))
        kind = chance.choice(("crash:loop", "crash:loop", "crash:thread", "crash:result"))
        words: dict[str, Any] = {"task_id": f"{name}-{number}"}
        if chance.random() < 0.1:
            words["delay"] = f"{chance.randrange(2000)}ms"
        if kind == "crash:result" and chance.random() < 0.3:
            words["retention"] = "2s"
        yield app.plan(kind, order, **words)


def main(url: str, folder: str, count: str, pause: str, seed: str) -> None:
    """Send bursts with pauses between them."""
    app = Rota(url, settings={"response_timeout": "2s", "connect_timeout": "2s"})
    note = Ledger(Path(folder)).writer("accepted")
    chance = random.Random(seed)
    plans = orders(app, f"p{seed}", int(count), chance)
    while burst := list(islice(plans, chance.randint(1, MOST_IN_A_BURST))):
        chance.choice((accept, insist))(app, note, burst)
        time.sleep(float(pause))
    app.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
