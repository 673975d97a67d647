"""A producer process: enqueues until it is told to stop, and writes down what was accepted.

`python -m tests.crash.producer <url> <ledger> <count> <pause in seconds> <seed>`
"""

import random
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rota.app import Rota
from rota.enqueued import Plan, SyncEnqueued
from rota.errors import RotaError
from tests.crash.ledger import Ledger, Writer, moment

MOST_IN_A_BURST = 20


def accept(app: Rota, note: Writer, plans: list[Plan[Any]]) -> int:
    """Enqueue, and write down what was accepted. Returns how many were."""
    queues = {plan.options.task_id or "": plan.options.queue or "default" for plan in plans}
    note.accepted(queues, "unsure")
    for plan in plans:
        if (deadline := plan.options.deadline) is not None:
            note("deadline", at=moment(deadline.timestamp()), task=plan.options.task_id)
    accepted = made(plans, app.enqueue_many_sync(plans))
    note.accepted({task: queues[task] for task in accepted})
    return len(accepted)


def deliver(app: Rota, note: Writer, plans: list[Plan[Any]]) -> int:
    """The same through a buffer, which waits for the broker for as long as it takes."""
    queues = {plan.options.task_id or "": plan.options.queue or "default" for plan in plans}
    note.accepted(queues, "unsure")
    client = app.sync_client.sending(when_away="buffer")
    answers = client.enqueue_many(plans)
    if not client.flush("30s"):
        return 0
    accepted = made(plans, answers)
    note.accepted({task: queues[task] for task in accepted})
    return len(accepted)


def made(plans: list[Plan[Any]], answers: list[SyncEnqueued[Any] | RotaError]) -> list[str]:
    """The tasks that are new. A unique one that exists under another ID is not the one that was asked for."""
    asked = zip(plans, answers, strict=True)
    return [plan.options.task_id or "" for plan, each in asked if isinstance(each, SyncEnqueued) and each.created]


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
    """Send bursts with pauses between them. What could not be sent is not sent again: it was not accepted."""
    app = Rota(url, settings={"response_timeout": "2s", "connect_timeout": "2s"})
    note = Ledger(Path(folder)).writer("accepted")
    chance = random.Random(seed)
    plans = orders(app, f"p{seed}", int(count), chance)
    while burst := list(islice(plans, chance.randint(1, MOST_IN_A_BURST))):
        try:
            chance.choice((accept, deliver))(app, note, burst)
        except RotaError as error:
            print(f"{len(burst)} tasks were not accepted: {error}", file=sys.stderr, flush=True)  # noqa: T201
        time.sleep(float(pause))
    app.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
